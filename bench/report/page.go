package report

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
)

// Page is a whole report.
type Page struct {
	Title  string
	Intro  string // one paragraph; may be empty
	Facts  []Fact
	Tables []Table
	Panels []Panel
}

// Fact is one thing to know about what was measured.
type Fact struct{ Name, Value string }

// Table is figures in rows; the first column names the row.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

// Panel is one chart.
type Panel struct {
	Title   string
	Note    string // a sentence below the title; may be empty
	XName   string
	XUnit   string
	LogX    bool    // decades are equally wide; points at 0 and below are left out
	YMax    float64 // the axis reaches at least this far
	Series  []Series
	Figures *Table // below the chart; nil: least, mean, most and last of each series
	Missing string // why there is nothing, where there is nothing to draw
}

// Series is one line of a chart. The series of a panel share a unit.
type Series struct {
	Name, Unit string
	Style      int     // which colour and dashes; lines of one thing have the same in all panels
	Points     []Point // in the order of X; a Y that is not a number is a gap
}

// Point is one value.
type Point struct{ X, Y float64 }

// Write writes the page as HTML that is XML as well.
func (p *Page) Write(to io.Writer) error {
	w := &writer{}
	w.put("<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n")
	w.put("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n")
	w.element("title", "", p.Title)
	w.put("<style>" + style + "</style>\n</head>\n<body>\n<main>\n")
	w.element("h1", "", p.Title)
	if p.Intro != "" {
		w.element("p", "", p.Intro)
	}
	if len(p.Facts) > 0 {
		w.put("<dl>\n")
		for _, f := range p.Facts {
			w.put("<div>")
			w.element("dt", "", f.Name)
			w.element("dd", "", f.Value)
			w.put("</div>\n")
		}
		w.put("</dl>\n")
	}
	for i := range p.Tables {
		w.put("<section>")
		w.table(&p.Tables[i])
		w.put("</section>\n")
	}
	for i := range p.Panels {
		w.panel(i, &p.Panels[i])
	}
	w.put("</main>\n</body>\n</html>\n")
	_, err := to.Write(w.buf.Bytes())
	return err
}

// writer gathers the page; writing to memory does not fail.
type writer struct{ buf bytes.Buffer }

// put writes markup.
func (w *writer) put(markup string) { w.buf.WriteString(markup) }

// putf writes markup with numbers in it, never with text of others.
func (w *writer) putf(format string, args ...any) { fmt.Fprintf(&w.buf, format, args...) }

// text writes text of others.
func (w *writer) text(s string) { _ = xml.EscapeText(&w.buf, []byte(s)) }

// element is text in a tag.
func (w *writer) element(tag, attributes, text string) {
	w.put("<" + tag + attributes + ">")
	w.text(text)
	w.put("</" + tag + ">\n")
}

func (w *writer) table(t *Table) {
	w.put("<table>\n")
	if t.Title != "" {
		w.element("caption", "", t.Title)
	}
	w.put("<thead><tr>")
	for _, h := range t.Head {
		w.element("th", ` scope="col"`, h)
	}
	w.put("</tr></thead>\n<tbody>\n")
	for _, row := range t.Rows {
		w.put("<tr>")
		for i, cell := range row {
			if i == 0 {
				w.element("th", ` scope="row"`, cell)
			} else {
				w.element("td", "", cell)
			}
		}
		w.put("</tr>\n")
	}
	w.put("</tbody>\n</table>\n")
}

func (w *writer) panel(id int, p *Panel) {
	w.put("<section>\n")
	w.element("h2", "", p.Title)
	if p.Note != "" {
		w.element("p", ` class="note"`, p.Note)
	}
	points := 0
	for i := range p.Series {
		points += len(p.finite(&p.Series[i]))
	}
	if points == 0 {
		w.element("p", ` class="missing"`, cmp.Or(p.Missing, "Nothing was measured."))
	} else {
		w.legend(p)
		w.chart(id, p)
		w.summary(p)
	}
	w.put("</section>\n")
}

// legend names the lines, where there are several.
func (w *writer) legend(p *Panel) {
	if len(p.Series) < 2 {
		return
	}
	w.put("<ul class=\"legend\">")
	for i := range p.Series {
		w.putf("<li><svg width=\"28\" height=\"10\" aria-hidden=\"true\"><line class=\"line s%d\" x1=\"0\" y1=\"5\" x2=\"28\" y2=\"5\"/></svg> ", p.Series[i].Style%styles)
		w.text(p.Series[i].Name)
		w.put("</li>\n")
	}
	w.put("</ul>\n")
}

// summary says in figures what the lines show.
func (w *writer) summary(p *Panel) {
	t := p.Figures
	if t == nil {
		t = p.figures()
	}
	w.put("<details><summary>In figures</summary>\n")
	w.table(t)
	w.put("</details>\n")
}

// figures are what a panel says by itself.
func (p *Panel) figures() *Table {
	t := &Table{Head: []string{"", "least", "mean", "most", "last"}}
	for i := range p.Series {
		s := &p.Series[i]
		points := p.finite(s)
		if len(points) == 0 {
			continue
		}
		least, most, sum := points[0].Y, points[0].Y, 0.0
		for _, pt := range points {
			least, most, sum = min(least, pt.Y), max(most, pt.Y), sum+pt.Y
		}
		with := func(v float64) string { return quantity(v, s.Unit) }
		t.Rows = append(t.Rows, []string{s.Name, with(least), with(sum / float64(len(points))), with(most), with(points[len(points)-1].Y)})
	}
	return t
}
