package mosquitto

import "strings"

// Text writes the result as a file of ours, with what is not the same in
// comments before it.
func (r *Result) Text(from string) string {
	var b strings.Builder
	b.WriteString("# Made from " + oneLine(from) + " by loopmq config import.\n#\n")
	if len(r.Notes) == 0 {
		b.WriteString("# All of it is here.\n")
	} else {
		b.WriteString("# What is not the same:\n")
	}
	for _, n := range r.Notes {
		b.WriteString("#   " + oneLine(n.String()) + "\n")
	}
	b.WriteString("#\n# Keys that are not here have their defaults: loopmq config explain KEY\n\n")
	b.WriteString(r.Config.Text(false))
	return b.String()
}

// oneLine keeps a comment a comment.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7F || c == '\uFFFD' {
			return '?'
		}
		return c
	}, s)
}
