package report

import (
	"math"
	"strconv"
	"strings"
)

// axis maps values to a length on the page, with round values as ticks.
type axis struct {
	from, to float64 // values; of a logarithmic axis their logarithms
	log      bool
	ticks    []float64 // values
}

// roundStep is the least of 1, 2 and 5 times a power of ten that is not below x.
func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// linear is an axis from a round value at or below least to one at or above
// most, with about n ticks.
func linear(least, most float64, n int) axis {
	if most <= least {
		most = least + 1
	}
	step := roundStep((most - least) / float64(n))
	first, last := math.Floor(least/step+1e-9), math.Ceil(most/step-1e-9)
	a := axis{from: first * step, to: last * step}
	for i := first; i <= last; i++ {
		a.ticks = append(a.ticks, i*step)
	}
	return a
}

// tight is linear, but ends where the values do.
func tight(least, most float64, n int) axis {
	a := linear(least, most, n)
	a.from, a.to = least, max(most, least+1e-9)
	inside := a.ticks[:0]
	for _, t := range a.ticks {
		if t >= a.from-1e-9 && t <= a.to+1e-9 {
			inside = append(inside, t)
		}
	}
	a.ticks = inside
	return a
}

// logarithmic is an axis whose ticks are the powers of ten, and over few of
// them 2 and 5 times those too. Its values are above 0.
func logarithmic(least, most float64) axis {
	first, last := math.Floor(math.Log10(least)+1e-9), math.Ceil(math.Log10(most)-1e-9)
	if last <= first {
		last = first + 1
	}
	a := axis{from: first, to: last, log: true}
	for e := first; e <= last; e++ {
		for _, m := range []float64{1, 2, 5} {
			if m > 1 && (last-first > 3 || e == last) {
				break
			}
			a.ticks = append(a.ticks, m*math.Pow(10, e))
		}
	}
	return a
}

// at is where a value lies: 0 at the beginning, 1 at the end.
func (a *axis) at(v float64) float64 {
	if a.log {
		v = math.Log10(v)
	}
	return (v - a.from) / (a.to - a.from)
}

// number writes three digits and a prefix: 1.5k, 20M, 0.02.
func number(v float64) string {
	prefix := ""
	for _, p := range []struct {
		name string
		one  float64
	}{{"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if math.Abs(v) >= p.one*(1-1e-9) {
			v, prefix = v/p.one, p.name
			break
		}
	}
	digits := 2
	if m := math.Abs(v); m > 0 && m < 1 {
		digits = 2 - int(math.Floor(math.Log10(m)))
	} else if m >= 100 {
		digits = 0
	} else if m >= 10 {
		digits = 1
	}
	s := strconv.FormatFloat(v, 'f', min(digits, 9), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		s = "0"
	}
	return s + prefix
}

// quantity is a number with its unit: 1.5 kB/s, 20 %.
func quantity(v float64, unit string) string {
	n := number(v)
	if unit == "" {
		return n
	}
	if prefix := n[len(n)-1]; prefix > '9' && strings.HasPrefix(unit, "B") {
		return n[:len(n)-1] + " " + string(prefix) + unit
	}
	return n + " " + unit
}
