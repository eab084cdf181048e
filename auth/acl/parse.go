package acl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a file.
const (
	fileBytesMax = 64 << 20
	lineBytesMax = 66_000 // the longest filter there is, and words before it
	errorsMax    = 100    // of one file; more help nobody
)

var errUnknown = errors.New("is not known here; lines start with user, client, address, role, anonymous, " +
	"everyone, and, allow, deny, topic, pattern or #")

// parser reads a file line by line.
type parser struct {
	rules   *Rules
	line    int
	section *section // nil at the start of the file
	plain   bool     // `topic` may stand here: at the start, and under a bare `user`
	fresh   bool     // the section has no rules yet, so `and` may follow
	place   int
	named   []string // roles in the order of the file
	errs    []lineError
}

type lineError struct {
	line int
	err  error
}

// Parse reads a file. The error holds all that is wrong with it, each with file
// and line; then there are no Rules.
func Parse(name string, r io.Reader) (*Rules, error) {
	text, err := io.ReadAll(io.LimitReader(r, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("read %s: more than %d bytes; is this an access control file?", name, fileBytesMax)
	}
	p := &parser{rules: newRules(name), plain: true}
	for raw := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		p.line++
		if err := p.readLine(trim(string(raw))); err != nil {
			p.errs = append(p.errs, lineError{p.line, err})
		}
	}
	p.finish()
	if err := p.bad(); err != nil {
		return nil, err
	}
	p.rules.index()
	return p.rules, nil
}

// bad is what was wrong, in the order of the lines.
func (p *parser) bad() error {
	sort.SliceStable(p.errs, func(i, j int) bool { return p.errs[i].line < p.errs[j].line })
	var all []error
	for _, e := range p.errs {
		if len(all) == errorsMax {
			all = append(all, fmt.Errorf("%s: and %d more", p.rules.file, len(p.errs)-errorsMax))
			break
		}
		all = append(all, p.at(e.line, e.err))
	}
	return errors.Join(all...)
}

func (p *parser) at(line int, err error) error {
	return fmt.Errorf("%s:%d: %w", p.rules.file, line, err)
}

func (p *parser) warn(format string, args ...any) {
	p.rules.warnings = append(p.rules.warnings, p.at(p.line, fmt.Errorf(format, args...)).Error())
}

func (p *parser) readLine(text string) error {
	if text == "" || text[0] == '#' {
		return nil
	}
	switch {
	case len(text) > lineBytesMax:
		return fmt.Errorf("line of %d bytes, more than %d; is this an access control file?", len(text), lineBytesMax)
	case !utf8.ValidString(text):
		return fmt.Errorf("%.80q is not UTF-8, as names and topics are", text)
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }):
		return fmt.Errorf("%.80q has a control character in it; remove it", text)
	}
	word, rest := cutWord(text)
	switch word {
	case "topic", "pattern":
		return p.readMosquitto(text, word, rest)
	case "allow", "deny":
		return p.readRule(text, word, rest)
	case "and":
		return p.readAnd(rest)
	case "role":
		if name, members, defines := strings.Cut(rest, "="); defines {
			return p.defineRole(trim(name), members)
		}
	}
	c, err := p.readCondition(word, rest)
	if errors.Is(err, errUnknown) {
		return err
	}
	// Also on other errors there is a new section, or rules would join the one before.
	p.section, p.fresh = &section{conditions: []condition{c}}, true
	p.plain = word == "user"
	p.rules.sections = append(p.rules.sections, p.section)
	return err
}

// cutWord takes the first word off a line.
func cutWord(text string) (word, rest string) {
	i := strings.IndexAny(text, " \t")
	if i < 0 {
		return text, ""
	}
	return text[:i], trim(text[i:])
}

// trim takes off what Mosquitto takes off. Other spaces of Unicode are letters
// of a name.
func trim(text string) string { return strings.Trim(text, " \t\r\n\v\f") }

// readMosquitto reads `topic` and `pattern`.
func (p *parser) readMosquitto(text, word, rest string) error {
	if !p.plain {
		return fmt.Errorf("%s belongs at the start of the file or under a user; here write allow or deny, "+
			"then publish, subscribe, deliver or all, and the filter", word)
	}
	p.fresh = false
	if rest == "" {
		return fmt.Errorf("%s without a filter; write %s read FILTER", word, word)
	}
	r := p.newRule(text)
	first, filter := cutWord(rest)
	r.allow, r.actions = true, Publish|Subscribe|Deliver
	known := true
	switch first {
	case "read":
		r.actions = Subscribe | Deliver
	case "write":
		r.actions = Publish
	case "readwrite":
	case "deny":
		r.allow = false
	default:
		known = false
	}
	switch {
	case filter == "":
		filter = first
		if known {
			p.warn("%s %s without a filter opens the topic %q for reading and writing, as with Mosquitto", word, first, first)
		}
	case !known:
		return fmt.Errorf("%s %.80q: write read, write, readwrite or deny before a filter with spaces in it", word, first)
	}
	if err := r.setFilter(filter); err != nil {
		return err
	}
	if strings.HasPrefix(filter, "$share/") {
		p.warn("no topic starts with $share/; rules are about what a shared subscription's own filter matches")
	}
	if word == "pattern" {
		if p.section != nil {
			p.warn("pattern speaks of all clients, also where it stands under a user")
		}
		p.rules.patterns.add(r)
		return nil
	}
	if p.section == nil {
		p.rules.anonymous.add(r)
		return nil
	}
	user := p.section.conditions[0].name
	if p.rules.users[user] == nil {
		p.rules.users[user] = &mosquitto{}
	}
	p.rules.users[user].add(r)
	return nil
}

func (p *parser) newRule(text string) *Rule {
	return &Rule{File: p.rules.file, Line: p.line, Text: text}
}

// readRule reads `allow` and `deny`.
func (p *parser) readRule(text, word, rest string) error {
	if p.section == nil {
		return fmt.Errorf("%s for whom? write everyone, anonymous, user, client, address or role in a line above", word)
	}
	p.fresh = false
	action, filter := cutWord(rest)
	r := p.newRule(text)
	r.allow = word == "allow"
	switch action {
	case "publish":
		r.actions = Publish
	case "subscribe":
		r.actions = Subscribe | Deliver
	case "deliver":
		r.actions = Deliver
	case "all":
		r.actions = Publish | Subscribe | Deliver
	default:
		return fmt.Errorf("%s %.80q: write publish, subscribe, deliver or all before the filter", word, action)
	}
	if filter == "" {
		return fmt.Errorf("%s %s without a filter; # is everything but topics with $ in front", word, action)
	}
	if strings.HasPrefix(filter, "$share/") {
		return fmt.Errorf("%s %s %.80q: write the filter behind $share/NAME/; it stands for shared subscriptions too",
			word, action, filter)
	}
	if err := r.setFilter(filter); err != nil {
		return err
	}
	p.place++
	p.section.rules = append(p.section.rules, placed{r, p.place})
	return nil
}

// readAnd reads `and CONDITION`, which narrows the section above it.
func (p *parser) readAnd(rest string) error {
	if p.section == nil || !p.fresh {
		return errors.New("and narrows the section above it, and stands before its rules")
	}
	p.plain = false
	word, name := cutWord(rest)
	not := word == "not"
	if not {
		word, name = cutWord(name)
	}
	c, err := p.readCondition(word, name)
	c.not = not
	p.section.conditions = append(p.section.conditions, c)
	return err
}

// readCondition reads what follows at the start of a section or behind `and`.
func (p *parser) readCondition(word, name string) (c condition, err error) {
	c = condition{word: word, name: name}
	switch word {
	case "everyone", "anonymous":
		if name != "" {
			return c, fmt.Errorf("%s stands alone; remove %.80q", word, name)
		}
		return c, nil
	case "user", "client", "address", "role":
		if name == "" {
			return c, fmt.Errorf("%s whom? the line ends here", word)
		}
	default:
		return c, fmt.Errorf("%.80q %w", word, errUnknown)
	}
	switch word {
	case "role":
		c.role = p.role(name)
		c.role.used = true
		if c.role.line == 0 {
			c.role.line = -p.line // asked for, not yet defined
		}
	case "address":
		if c.prefix, err = parsePrefix(name); err != nil {
			return c, fmt.Errorf("address %.80q: write an address, as 192.0.2.7, "+
				"or a network, as 192.0.2.0/24 or 2001:db8::/32", name)
		}
	}
	return c, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(text)
	if err == nil && n.Addr().Is4In6() {
		err = errors.New("an IPv4 network in IPv6's form, which would match nothing")
	}
	return n, err
}

func (p *parser) role(name string) *role {
	if p.rules.roles[name] == nil {
		p.rules.roles[name] = &role{members: map[string]bool{}}
		p.named = append(p.named, name)
	}
	return p.rules.roles[name]
}

// defineRole reads `role NAME = USER, USER`; more lines add more users.
func (p *parser) defineRole(name, members string) error {
	if name == "" {
		return errors.New("role without a name; write role NAME = USER, USER")
	}
	r := p.role(name)
	r.line = p.line
	for user := range strings.SplitSeq(members, ",") {
		if user = trim(user); user == "" {
			return fmt.Errorf("role %.80q: a user name is missing; write role NAME = USER, USER", name)
		}
		r.members[user] = true
	}
	return nil
}

// finish looks at what only the whole file shows.
func (p *parser) finish() {
	for _, name := range p.named {
		r := p.rules.roles[name]
		p.line = max(r.line, -r.line)
		switch {
		case r.line < 0:
			err := fmt.Errorf("role %.80q has no users; write role %.80s = USER, USER", name, name)
			p.errs = append(p.errs, lineError{p.line, err})
		case !r.used:
			p.rules.unused = append(p.rules.unused, name)
		}
	}
}
