package mosquitto

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/loopmq/loopmq/config"
)

// Note is something of a mosquitto.conf that is not the same with us.
type Note struct {
	File    string
	Line    int    // 0: it is about what the file does not say
	Option  string // never its value, which may be a password
	Text    string // what becomes of it, and why
	Refuses bool   // the configuration must not be served
}

func (n Note) String() string {
	at := n.File
	if n.Line > 0 {
		at += ":" + strconv.Itoa(n.Line)
	}
	return at + ": " + n.Option + ": " + n.Text
}

// Result is what a mosquitto.conf says in our words.
type Result struct {
	Config *config.File
	Notes  []Note // file by file in the order of lines; what is about none at the end
}

// Refused are the notes that forbid to serve the configuration.
func (r *Result) Refused() (list []Note) {
	for _, n := range r.Notes {
		if n.Refuses {
			list = append(list, n)
		}
	}
	return list
}

// Read reads a mosquitto.conf and the directories that it includes. Relative
// paths in it are taken from the working directory, as Mosquitto does.
func Read(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read mosquitto.conf: %w", err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("read mosquitto.conf: %w", err)
	}
	return convert(path, text, dir, os.ReadFile, dirFiles), nil
}

// convert reads the text of path; open and files are how it gets others.
func convert(path string, text []byte, dir string, open func(string) ([]byte, error), files func(string) ([]string, error)) *Result {
	c := &converter{f: config.Default(), dir: dir, open: open, files: files, options: options()}
	c.file(path, text, true)
	c.finish(path)
	order := map[string]int{}
	for i, n := range c.notes {
		if _, known := order[n.File]; !known {
			order[n.File] = i
		}
	}
	sort.SliceStable(c.notes, func(i, j int) bool {
		a, b := &c.notes[i], &c.notes[j]
		last := func(n *Note) int { return min(n.Line, 1) } // what has no line, to the end
		return cmp.Or(last(b)-last(a), order[a.File]-order[b.File], a.Line-b.Line) < 0
	})
	return &Result{Config: c.f, Notes: c.notes}
}

// security are the settings that per_listener_settings moves to the listener.
type security struct {
	anonymous             config.Switch
	passwordFile, aclFile string
}

// place is a line.
type place struct {
	file string
	line int
}

// listener is one listener as the file tells it.
type listener struct {
	at                          place
	port                        int
	host, unix, domain          string
	websockets, drop            bool
	sec                         security
	ca, capath, cert, key, crl  string
	required, identity, subject bool
	identityAt, crlAt, capathAt place
	tlsVersion                  string
	proxy                       int
	proxyAt                     place
	out                         config.Listener // what is said directly
}

// converter is one Read.
type converter struct {
	f       *config.File
	notes   []Note
	dir     string // where relative paths begin
	open    func(path string) ([]byte, error)
	files   func(dir string) ([]string, error)
	options map[string]option
	at      place
	option  string // the name in the line at

	perListener   bool
	global        security
	listeners     []*listener
	implicit      *listener // the one that options without a listener make
	current       *listener // nil before the first listener of a file
	named         bool      // something names an address or port
	implicitNamed bool      // port or bind_address does
	bridge        string
	plugin        string

	persistence  bool
	location     string
	messageSize  int
	packetSize   bool
	expirySet    bool
	logTypes     []string
	logLevelSeen bool
	logTo        string
}

func (c *converter) note(format string, args ...any) {
	c.notes = append(c.notes, Note{c.at.file, c.at.line, c.option, fmt.Sprintf(format, args...), false})
}

func (c *converter) refuse(format string, args ...any) {
	c.notes = append(c.notes, Note{c.at.file, c.at.line, c.option, fmt.Sprintf(format, args...), true})
}

// file reads one file. Each begins without a listener.
func (c *converter) file(path string, text []byte, main bool) {
	was, wasBridge, wasPlugin := c.current, c.bridge, c.plugin
	c.current, c.bridge, c.plugin = nil, "", ""
	line := 0
	for raw := range bytes.Lines(text) {
		line++
		c.at = place{path, line}
		// Only # as the very first character makes a comment.
		s := strings.TrimRight(string(raw), "\r\n")
		if strings.HasPrefix(s, "#") {
			continue
		}
		s = strings.TrimLeft(s, " ")
		if s == "" {
			continue
		}
		name, value, _ := strings.Cut(s, " ")
		c.option = name
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			c.refuse("is not UTF-8, or has a NUL byte")
			continue
		}
		if strings.ContainsRune(name, '\t') {
			c.refuse("Mosquitto takes no tab here: write a space between the name and the value")
			continue
		}
		c.line(name, strings.Trim(value, " \t"), main)
	}
	c.current, c.bridge, c.plugin = was, wasBridge, wasPlugin
}

// line takes one option.
func (c *converter) line(name, value string, main bool) {
	switch {
	case name == "include_dir":
		c.include(value, main)
	case strings.HasPrefix(name, "auth_opt_") || strings.HasPrefix(name, "plugin_opt_"):
		c.pluginOption(name, value)
	default:
		o, ok := c.options[name]
		if !ok {
			c.refuse("unknown: Mosquitto refuses it too")
			return
		}
		if o.bridge && c.bridge == "" {
			c.refuse("belongs to a bridge, and there is no connection before it: Mosquitto refuses it too")
			return
		}
		if value == "" && !o.empty {
			c.refuse("has no value: Mosquitto refuses it too")
			return
		}
		o.take(c, value)
	}
}

// include reads the files of a directory that end in .conf.
func (c *converter) include(dir string, main bool) {
	if !main {
		c.refuse("works in the main file only: Mosquitto refuses it too")
		return
	}
	names, err := c.files(dir)
	if err != nil {
		c.refuse("%v", err)
		return
	}
	at := c.at
	for _, name := range names {
		text, err := c.open(name)
		if err != nil {
			c.at, c.option = at, "include_dir"
			c.refuse("%v", err)
			continue
		}
		c.file(name, text, false)
	}
	c.at = at
}

// dirFiles are the files of include_dir in Mosquitto's order: letters
// alphabetically, upper case before lower.
func dirFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := names[i], names[j]
		return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b)) < 0
	})
	return names, nil
}

// word is the first word of a value; what is behind it is a comment, or too
// much.
func word(value string) string {
	first, _, _ := strings.Cut(value, " ")
	return first
}

func (c *converter) boolean(value string) (on, ok bool) {
	switch word(value) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	c.refuse("is neither true nor false: Mosquitto refuses it too")
	return false, false
}

func (c *converter) integer(value string, least, most int) (int, bool) {
	n, err := strconv.ParseInt(word(value), 0, 64)
	if err != nil || n > int64(most) || n < int64(least) {
		c.refuse("is no number from %d to %d: Mosquitto refuses it too", least, most)
		return 0, false
	}
	return int(n), true
}

// here is the listener that options are about, the implicit one before the
// first.
func (c *converter) here() *listener {
	if c.current == nil {
		if c.implicit == nil {
			c.implicit = &listener{at: c.at, port: 1883}
			c.listeners = append(c.listeners, c.implicit)
		}
		return c.implicit
	}
	return c.current
}

// secure is where security settings go.
func (c *converter) secure() *security {
	if c.perListener {
		return &c.here().sec
	}
	return &c.global
}
