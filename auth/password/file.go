package password

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a file.
const (
	fileBytesMax = 64 << 20
	lineBytesMax = 4096
	userBytesMax = 1024
	errorsMax    = 100 // of one file; more help nobody
)

// File is a password file: its users, and its lines as they were written.
type File struct {
	name    string
	lines   []line
	users   map[string]int // where in lines
	unknown *hash          // what an unknown user is compared with
}

// line is one line. Without a hash it is a comment, blank, or one that could
// not be read: then err says why.
type line struct {
	_ [0]func() // not to be compared, which would be program

	text  string
	user  string
	plain string // what stands where the hash should
	hash  *hash
	err   error
}

// Parse reads a file that users shall log in with. The error holds all that is
// wrong with it, each with file, line and what to do; then there is no File.
func Parse(name string, r io.Reader) (*File, error) {
	f, err := Edit(name, r)
	if err == nil {
		err = f.Bad()
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Edit reads a file to change it: lines that cannot be read are kept as they
// are, and Bad tells of them. Their users cannot log in.
func Edit(name string, r io.Reader) (*File, error) {
	text, err := io.ReadAll(io.LimitReader(r, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("read %s: more than %d bytes; is this a password file?", name, fileBytesMax)
	}
	f := &File{name: name, users: map[string]int{}}
	for raw := range bytes.Lines(text) {
		l := parseLine(strings.TrimSuffix(string(raw), "\n"))
		if first, twice := f.users[l.user]; twice && l.user != "" {
			l.hash = nil
			l.err = fmt.Errorf("user %q is in line %d already; keep one of the two", l.user, first+1)
		} else if l.user != "" {
			f.users[l.user] = len(f.lines)
		}
		f.lines = append(f.lines, l)
	}
	f.choose()
	return f, nil
}

func parseLine(text string) line {
	l := line{text: text}
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed[0] == '#' {
		return l
	}
	if len(text) > lineBytesMax {
		l.err = fmt.Errorf("line of %d bytes, more than %d; is this a password file?", len(text), lineBytesMax)
		return l
	}
	user, rest, found := strings.Cut(trimmed, ":")
	user = strings.TrimSpace(user)
	if l.err = CheckUser(user); l.err != nil {
		return l
	}
	l.user, l.plain = user, rest
	switch {
	case !found:
		l.err = fmt.Errorf("no ':' behind user %q; write user:hash, or remove the line", user)
	case rest == "":
		l.err = fmt.Errorf("user %q has no hash; set a password: loopmq passwd FILE %s", user, user)
	default:
		l.hash, l.err = parseHash(strings.TrimSpace(rest))
		if errors.Is(l.err, errPlain) {
			l.err = fmt.Errorf("user %q has %w; if passwords stand there as they are, hash them: loopmq passwd -U FILE",
				user, l.err)
		} else if l.err != nil {
			l.err = fmt.Errorf("user %q: %w; set the password again: loopmq passwd FILE %s", user, l.err, user)
		}
	}
	return l
}

// Bad is what was wrong with the file, nil if nothing.
func (f *File) Bad() error {
	var all []error
	for i := range f.lines {
		if err := f.lines[i].err; err != nil {
			if len(all) == errorsMax {
				return errors.Join(append(all, fmt.Errorf("%s:%d: and more like these", f.name, i+1))...)
			}
			all = append(all, fmt.Errorf("%s:%d: %w", f.name, i+1, err))
		}
	}
	return errors.Join(all...)
}

// CheckUser says whether name may stand in a file.
func CheckUser(name string) error {
	switch {
	case name == "":
		return errors.New("a user name is missing; write user:hash")
	case len(name) > userBytesMax:
		return fmt.Errorf("a user name of %d bytes; %d at most", len(name), userBytesMax)
	case !utf8.ValidString(name):
		return fmt.Errorf("user name %q is not UTF-8", name)
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\ufeff' }):
		return fmt.Errorf("user name %q has a control character in it; remove it", name)
	case strings.Contains(name, ":"):
		return fmt.Errorf("user name %q has a ':' in it, which ends the name in the file", name)
	case name[0] == '#':
		return fmt.Errorf("user name %q starts with '#', as a comment does", name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("user name %q starts or ends with a space", name)
	}
	return nil
}

// choose lets unknown users cost what most users cost.
func (f *File) choose() {
	count := map[Params]int{}
	most, _ := Defaults(Argon2id)
	for i := range f.lines {
		if h := f.lines[i].hash; h != nil {
			if count[h.params]++; count[h.params] > count[most] {
				most = h.params
			}
		}
	}
	f.unknown = nobody(most)
}

// Verify says whether this is the user's password. A user who is not in the
// file costs the same time and gets the same answer. An error means that the
// password cannot be judged by the kind of hash there is; ok is false then.
func (f *File) Verify(user string, password []byte) (ok bool, err error) {
	h := f.unknown
	i, known := f.users[user]
	if known && f.lines[i].hash != nil {
		h = f.lines[i].hash
	}
	ok, err = h.verify(password)
	if err != nil {
		return false, fmt.Errorf("check a password: %w", err)
	}
	return ok && h != f.unknown, nil
}

// Users are the names, in the order of the file.
func (f *File) Users() (names []string) {
	for i := range f.lines {
		if f.lines[i].hash != nil {
			names = append(names, f.lines[i].user)
		}
	}
	return names
}

// Kind is how the user's password is hashed; empty: there is no such user.
func (f *File) Kind(user string) Kind {
	if i, known := f.users[user]; known && f.lines[i].hash != nil {
		return f.lines[i].hash.params.Kind
	}
	return ""
}

// Set gives a user a hash as Hash makes it: in his line, or in a new one at
// the end.
func (f *File) Set(user, text string) error {
	if err := CheckUser(user); err != nil {
		return err
	}
	h, err := parseHash(text)
	if err != nil {
		return fmt.Errorf("set the hash of user %q: %w", user, err)
	}
	l := line{text: user + ":" + text, user: user, plain: text, hash: h}
	if i, known := f.users[user]; known {
		f.lines[i] = l
	} else {
		f.users[user] = len(f.lines)
		f.lines = append(f.lines, l)
	}
	f.choose()
	return nil
}

// Delete removes all lines of a user and says whether there was one.
func (f *File) Delete(user string) bool {
	before := len(f.lines)
	kept := f.lines[:0]
	for _, l := range f.lines {
		if l.user != user || user == "" {
			kept = append(kept, l)
		}
	}
	clear(f.lines[len(kept):])
	f.lines = kept
	clear(f.users)
	for i, l := range f.lines {
		if _, twice := f.users[l.user]; l.user != "" && !twice {
			f.users[l.user] = i
		}
	}
	f.choose()
	return len(f.lines) < before
}

// Upgrade hashes passwords that stand in the file as they are, and says how
// many. Lines that look like a broken hash stay.
func (f *File) Upgrade(p Params) (n int, err error) {
	for i := range f.lines {
		l := &f.lines[i]
		if !errors.Is(l.err, errPlain) {
			continue
		}
		text, err := Hash([]byte(l.plain), p)
		if err != nil {
			return n, fmt.Errorf("%s:%d: %w", f.name, i+1, err)
		}
		if err := f.Set(l.user, text); err != nil {
			return n, fmt.Errorf("%s:%d: %w", f.name, i+1, err)
		}
		n++
	}
	return n, nil
}

// Bytes is the text of the file.
func (f *File) Bytes() []byte {
	var b bytes.Buffer
	for i := range f.lines {
		b.WriteString(f.lines[i].text)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
