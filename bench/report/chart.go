package report

import (
	"math"
	"strings"
)

// Measures of a chart, in units of its view box.
const (
	chartWidth  = 720
	chartHeight = 260
	plotLeft    = 64
	plotRight   = chartWidth - 16
	plotTop     = 14
	plotBottom  = chartHeight - 44
	pointsMax   = plotRight - plotLeft
	// hoverMax is up to how many points each tells its value to the pointer.
	hoverMax = 250
)

// finite are the points that can be drawn.
func (p *Panel) finite(s *Series) []Point {
	var out []Point
	for _, pt := range s.Points {
		if p.drawable(pt) {
			out = append(out, pt)
		}
	}
	return out
}

func (p *Panel) drawable(pt Point) bool {
	return !math.IsNaN(pt.X+pt.Y) && !math.IsInf(pt.X, 0) && !math.IsInf(pt.Y, 0) && (!p.LogX || pt.X > 0)
}

// axes fit all points; y begins at 0 unless there is something below.
func (p *Panel) axes() (x, y axis) {
	xLeast, xMost, yLeast, yMost := math.Inf(1), math.Inf(-1), 0.0, p.YMax
	for i := range p.Series {
		for _, pt := range p.finite(&p.Series[i]) {
			xLeast, xMost = min(xLeast, pt.X), max(xMost, pt.X)
			yLeast, yMost = min(yLeast, pt.Y), max(yMost, pt.Y)
		}
	}
	if p.LogX {
		return logarithmic(xLeast, xMost), linear(yLeast, yMost, 5)
	}
	if xLeast == xMost {
		xLeast = min(xLeast, 0) // one point alone shows where it is from 0
	}
	return tight(xLeast, xMost, 8), linear(yLeast, yMost, 5)
}

func across(a *axis, v float64) float64 { return plotLeft + a.at(v)*(plotRight-plotLeft) }
func up(a *axis, v float64) float64     { return plotBottom - a.at(v)*(plotBottom-plotTop) }

// chart draws the panel.
func (w *writer) chart(id int, p *Panel) {
	x, y := p.axes()
	w.putf("<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"t%d d%d\" xmlns=\"http://www.w3.org/2000/svg\">\n",
		chartWidth, chartHeight, id, id)
	w.putf("<title id=\"t%d\">", id)
	w.text(p.Title)
	w.putf("</title>\n<desc id=\"d%d\">", id)
	w.text(p.describe())
	w.put("</desc>\n<g class=\"grid\">\n")
	unit := p.Series[0].Unit
	for _, t := range y.ticks {
		w.putf("<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", plotLeft, plotRight, up(&y, t), up(&y, t))
		w.putf("<text class=\"y\" x=\"%d\" y=\"%.1f\">%s</text>\n", plotLeft-8, up(&y, t)+4, number(t))
	}
	for _, t := range x.ticks {
		w.putf("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", across(&x, t), across(&x, t), plotTop, plotBottom)
		w.putf("<text class=\"x\" x=\"%.1f\" y=\"%d\">%s</text>\n", across(&x, t), plotBottom+16, number(t))
	}
	w.put("</g>\n")
	w.label(plotRight, plotBottom+34, "end", named(p.XName, p.XUnit))
	w.label(plotLeft, plotTop-4, "start", unit)
	for i := range p.Series {
		w.series(&p.Series[i], p, &x, &y)
	}
	w.put("</svg>\n")
}

func named(name, unit string) string {
	if unit == "" {
		return name
	}
	return name + " (" + unit + ")"
}

func (w *writer) label(x, y int, anchor, text string) {
	w.putf("<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"%s\">", x, y, anchor)
	w.text(text)
	w.put("</text>\n")
}

// describe says what the chart shows to those who do not see it.
func (p *Panel) describe() string {
	var text strings.Builder
	text.WriteString(named(p.XName, p.XUnit) + " from left to right.")
	for i := range p.Series {
		s := &p.Series[i]
		points := p.finite(s)
		if len(points) == 0 {
			continue
		}
		least, most := points[0], points[0]
		for _, pt := range points {
			if pt.Y < least.Y {
				least = pt
			}
			if pt.Y > most.Y {
				most = pt
			}
		}
		text.WriteString(" " + s.Name + ": from " + quantity(least.Y, s.Unit) + " at " + quantity(least.X, p.XUnit) +
			" to " + quantity(most.Y, s.Unit) + " at " + quantity(most.X, p.XUnit) + ".")
	}
	return text.String()
}

// thin makes at most n points of many, each the mean of those that it stands
// for. Gaps are kept.
func thin(points []Point, n int) []Point {
	if len(points) <= n {
		return points
	}
	out := make([]Point, 0, n)
	for i := range n {
		part := points[i*len(points)/n : (i+1)*len(points)/n]
		var mean Point
		for _, pt := range part {
			mean.X += pt.X / float64(len(part))
			mean.Y += pt.Y / float64(len(part))
		}
		out = append(out, mean)
	}
	return out
}

// series draws one line, and over it what tells the values.
func (w *writer) series(s *Series, p *Panel, x, y *axis) {
	points := thin(s.Points, pointsMax)
	w.putf("<path class=\"line s%d\" d=\"", s.Style%styles)
	pen := byte('M')
	for _, pt := range points {
		if !p.drawable(pt) {
			pen = 'M'
			continue
		}
		w.putf("%c%.1f %.1f", pen, across(x, pt.X), up(y, pt.Y))
		pen = 'L'
	}
	w.put("\"/>\n")
	if len(points) > hoverMax {
		return
	}
	kind := "dots"
	if len(points) == 1 {
		kind = "dot" // a line of one point is not seen
	}
	w.putf("<g class=\"%s s%d\">\n", kind, s.Style%styles)
	for _, pt := range points {
		if !p.drawable(pt) {
			continue
		}
		w.putf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\"><title>", across(x, pt.X), up(y, pt.Y))
		w.text(s.Name + ", " + quantity(pt.X, p.XUnit) + ": " + quantity(pt.Y, s.Unit))
		w.put("</title></circle>\n")
	}
	w.put("</g>\n")
}
