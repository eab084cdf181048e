package sim

import "slices"

// Shrink takes operations out of a failing plan as long as it still fails, in
// large pieces first (delta debugging), and returns what is left. A plan that
// does not fail comes back as it was.
func Shrink(p *Plan) *Plan {
	best := *p
	for size := len(best.Ops)/2 + 1; ; {
		smaller := false
		for at := 0; at < len(best.Ops); {
			try := best
			try.Ops = slices.Delete(slices.Clone(best.Ops), at, min(at+size, len(best.Ops)))
			if Run(&try, nil).Err != nil {
				best, smaller = try, true
			} else {
				at += size
			}
		}
		switch {
		case size > 1:
			size /= 2
		case !smaller:
			return &best
		}
	}
}
