package config

import (
	"fmt"
	"slices"
	"strings"
)

// Example is a file with every key, its default and what it means, all of it
// commented out: it says the same as an empty file.
func Example() string {
	var b strings.Builder
	b.WriteString(`# The configuration of LoopMQ.
#
# Every key is here with its default; take away the # in front of those that
# you change. ` + "`loopmq config check FILE`" + ` says what is wrong with a file,
# ` + "`loopmq config explain KEY`" + ` what a key means.
#
# Sizes: "2MB", "256KiB". Times: "30s", "1h30m", "14d". Paths are relative to
# the directory of this file.

`)
	exampleRows(&b, "", Default().rows())
	return b.String()
}

func exampleRows(b *strings.Builder, table string, rows []*row) {
	for _, r := range rows {
		if r.table() {
			continue
		}
		comment(b, exampleDoc(r.Key))
		fmt.Fprintf(b, "#%s = %s\n\n", r.Name, exampleValue(r))
	}
	for _, r := range rows {
		if !r.table() {
			continue
		}
		path := table + r.Name
		comment(b, r.Doc)
		switch {
		case r.Kind == KindTables:
			fmt.Fprintf(b, "#[[%s]]\n\n", path)
			exampleRows(b, path+".", r.sample())
		case strings.HasPrefix(path, "listener."):
			fmt.Fprintf(b, "#[%s]\n\n", path)
			exampleRows(b, path+".", r.inner)
		default:
			fmt.Fprintf(b, "[%s]\n\n", path)
			exampleRows(b, path+".", r.inner)
		}
	}
}

func exampleDoc(k Key) string {
	doc := k.Doc
	if len(k.Choices) > 0 && !strings.Contains(doc, either(k.Choices)) {
		doc += " Choices: " + strings.Join(quoteAll(k.Choices), ", ") + "."
	}
	return doc
}

// exampleValue is the default, or for what must be said something likely.
func exampleValue(r *row) string {
	if r.Name == "url" && r.Flag == "listen" {
		return `"mqtt://:1883"`
	}
	return literal(r.get())
}

func quoteAll(texts []string) []string {
	all := slices.Clone(texts)
	for i := range all {
		all[i] = quote(all[i])
	}
	return all
}

// comment writes text as comments.
func comment(b *strings.Builder, text string) {
	for line := range strings.Lines(wrapped(text)) {
		b.WriteString("# " + line)
	}
}

// wrapped breaks text into lines of at most 76 bytes.
func wrapped(text string) string {
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case used == 0:
		case used+1+len(word) > 76:
			b.WriteByte('\n')
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	b.WriteByte('\n')
	return b.String()
}
