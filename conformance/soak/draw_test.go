package soak

import (
	"fmt"
	"strings"
)

// The plot's measures, in pixels.
const (
	plotWide  = 900
	panelHigh = 160
	left      = 70
	top       = 30
	gap       = 50
)

// line is one curve.
type line struct {
	name, colour string
	of           func(*sample) float64
}

// panel is a plot with a scale of its own.
type panel struct {
	title string
	lines []line
}

// draw makes an SVG of the samples.
func draw(samples []sample) []byte {
	panels := []panel{
		{"memory, MB", []line{
			{"resident", "#1f77b4", func(s *sample) float64 { return mb(s.resident) }},
			{"heap", "#ff7f0e", func(s *sample) float64 { return mb(int64(s.held.HeapBytes)) }},
		}},
		{"round trip of the witness, ms", []line{
			{"p50", "#2ca02c", func(s *sample) float64 { return s.p(.5) }},
			{"p99", "#d62728", func(s *sample) float64 { return s.p(.99) }},
		}},
		{"held", []line{
			{"descriptors", "#9467bd", func(s *sample) float64 { return float64(s.files) }},
			{"sessions", "#8c564b", func(s *sample) float64 { return float64(s.held.Sessions) }},
			{"goroutines", "#7f7f7f", func(s *sample) float64 { return float64(s.held.Goroutines) }},
		}},
	}
	var b strings.Builder
	high := top + len(panels)*(panelHigh+gap)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		left+plotWide+20, high)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, p := range panels {
		p.draw(&b, samples, top+i*(panelHigh+gap))
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// draw adds the panel whose upper edge is at y.
func (p *panel) draw(b *strings.Builder, samples []sample, y int) {
	most := 1e-9
	for i := range samples {
		for _, l := range p.lines {
			most = max(most, l.of(&samples[i]))
		}
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#ccc"/>`+"\n", left, y, plotWide, panelHigh)
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", left, y-8, p.title)
	for _, share := range []float64{0, .5, 1} {
		at := float64(y+panelHigh) - share*panelHigh
		fmt.Fprintf(b, `<text x="%d" y="%.0f" text-anchor="end">%.4g</text>`+"\n", left-6, at+4, share*most)
	}
	last := samples[len(samples)-1].at
	fmt.Fprintf(b, `<text x="%d" y="%d">0</text><text x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
		left, y+panelHigh+16, left+plotWide, y+panelHigh+16, last.Round(1e9))
	for i, l := range p.lines {
		var points []string
		for j := range samples {
			s := &samples[j]
			points = append(points, fmt.Sprintf("%.1f,%.1f", left+float64(s.at)/float64(last)*plotWide,
				float64(y+panelHigh)-l.of(s)/most*panelHigh))
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" points="%s"/>`+"\n", l.colour, strings.Join(points, " "))
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s" text-anchor="end">%s</text>`+"\n", left+plotWide-100*i, y-8, l.colour, l.name)
	}
}
