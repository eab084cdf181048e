package config

import (
	"strconv"
	"strings"
)

// Kind is the type of a key.
type Kind uint8

// The kinds of keys.
const (
	KindText Kind = iota
	KindPath
	KindSecret
	KindChoice
	KindBoolean
	KindSwitch
	KindInteger
	KindSize
	KindDuration
	KindRate
	KindMode
	KindTextList
	KindChoiceList
	KindPathList
	KindNetworkList
	KindMap
	KindTable
	KindTables
)

// String is what documentation calls the kind.
func (k Kind) String() string {
	return [...]string{
		"text", "path", "secret text", "text", "true or false", `true, false or "auto"`, "whole number", "size", "time",
		"rate", "permissions", "list of texts", "list of texts", "list of paths", "list of networks",
		"table of texts", "table", "list of tables",
	}[k]
}

// Write is how values of the kind are written.
func (k Kind) Write() string {
	switch k {
	case KindSize:
		return `a whole number with kB, MB, GB, KiB, MiB, GiB or B: "2MB"; a bare number is bytes`
	case KindDuration:
		return `whole numbers with w, d, h, m, s, ms, us or ns: "30s", "1h30m", "14d"`
	case KindRate:
		return `how many in how much time: "100/s", "10/m"; "" is no bound`
	case KindMode:
		return `as chmod takes them: "0660"; "" is as the umask has it`
	case KindPath, KindPathList:
		return "relative to the directory of the file that has it; $CREDENTIALS_DIRECTORY/NAME is a credential of the service"
	case KindNetworkList:
		return `addresses and networks: ["192.0.2.7", "10.0.0.0/8", "fd00::/8"]`
	case KindMap:
		return `{ "NAME" = "VALUE", … }`
	}
	return ""
}

// Reload is what a changed key needs to take effect in a broker that runs.
type Reload uint8

// Live takes effect at once, Remake opens the listener anew, Restart waits for
// the next start of the broker.
const (
	Live Reload = iota
	Remake
	Restart
)

func (r Reload) String() string {
	return [...]string{"live", "listener opened anew", "needs a restart"}[r]
}

// Key is one key of the file, as documentation tells it.
type Key struct {
	Name    string // in its table
	Path    string // with its tables: "listener.tls.cert"
	Kind    Kind
	Default string   // as TOML writes it
	Choices []string // all that may be written; "" is among them where it may be left empty
	Min     int      // of whole numbers and sizes
	Max     int      // 0: none
	Least   int      // of those that are not 0, where 0 means something of its own; 0: Min
	Reload  Reload
	Flag    string // of loopmq serve, without the dashes; "" if there is none
	Doc     string
}

// Env is the environment variable that sets the key. For a key of a list of
// tables it is that of the first one.
func (k Key) Env() string {
	parts := strings.Split(k.Path, ".")
	if parts[0] == "listener" && len(parts) > 1 {
		parts[0] = "listener__0"
	}
	if k.Kind == KindMap {
		parts = append(parts, "name")
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(strings.Join(parts, "__"), "tls__certificate__", "tls__certificate__0__"))
}

// Keys are all keys in the order of documentation: a table before its keys.
func Keys() []Key {
	var keys []Key
	var walk func(path string, rows []*row)
	walk = func(path string, rows []*row) {
		for _, r := range rows {
			k := r.Key
			k.Path = path + k.Name
			if !r.table() {
				k.Default = literal(r.get())
			}
			keys = append(keys, k)
			switch r.Kind {
			case KindTable:
				walk(k.Path+".", r.inner)
			case KindTables:
				walk(k.Path+".", r.sample())
			}
		}
	}
	walk("", Default().rows())
	return keys
}

// Explain finds a key and the keys below it; indices of lists are left out. If
// there is none, near is the one that was probably meant.
func Explain(path string) (found []Key, near string) {
	var plain []string
	for part := range strings.SplitSeq(path, ".") {
		if !isIndex(part) {
			plain = append(plain, strings.ReplaceAll(part, "-", "_"))
		}
	}
	path = strings.Join(plain, ".")
	var names []string
	for _, k := range Keys() {
		if k.Path == path || strings.HasPrefix(k.Path, path+".") {
			found = append(found, k)
		}
		names = append(names, k.Path, k.Name)
	}
	if found != nil {
		return found, ""
	}
	near = nearest(path, names)
	best := ""
	for _, k := range Keys() {
		if k.Name == near && (best == "" || len(k.Path) < len(best)) {
			best = k.Path // limits.inflight_max before listener.limits.inflight_max
		}
	}
	if best != "" {
		near = best
	}
	// Somebody who knows the last part only.
	for _, k := range Keys() {
		if k.Name == plain[len(plain)-1] {
			found = append(found, k)
		}
	}
	return found, near
}

func isIndex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Explain tells about a key on a few lines.
func (k Key) Explain() string {
	var b strings.Builder
	switch k.Kind {
	case KindTable:
		b.WriteString("[" + k.Path + "]\n")
	case KindTables:
		b.WriteString("[[" + k.Path + "]]\n")
	default:
		b.WriteString(k.Path + " = " + k.Default + "\n")
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(wrapped(k.Doc), "\n"), "\n") {
		b.WriteString("    " + line + "\n")
	}
	for _, fact := range k.Facts() {
		b.WriteString("    " + fact[0] + ": " + fact[1] + "\n")
	}
	return b.String()
}

// Facts are what there is to tell besides Doc: what it is called, and what it is.
func (k Key) Facts() [][2]string {
	if k.Kind == KindTable || k.Kind == KindTables {
		return nil
	}
	facts := [][2]string{{"type", k.Kind.String()}}
	if how := k.Kind.Write(); how != "" {
		facts = append(facts, [2]string{"written", how})
	}
	if len(k.Choices) > 0 {
		facts = append(facts, [2]string{"choices", strings.Join(quoteAll(k.Choices), ", ")})
	}
	if bounds := k.bounds(); bounds != "" {
		facts = append(facts, [2]string{"bounds", bounds})
	}
	facts = append(facts, [2]string{"reload", k.Reload.String()})
	if k.Path != "include" {
		facts = append(facts, [2]string{"environment", k.Env()})
	}
	if k.Flag != "" {
		facts = append(facts, [2]string{"flag", "--" + k.Flag})
	}
	return facts
}

// bounds of whole numbers and sizes.
func (k Key) bounds() string {
	format := strconv.Itoa
	switch {
	case k.Kind == KindSize:
		format = formatSize
	case k.Kind != KindInteger:
		return ""
	}
	least := format(k.Min)
	if k.Least > 0 {
		least += ", or " + format(k.Least)
	}
	if k.Max > 0 {
		return least + " to " + format(k.Max)
	}
	return least + " or more"
}
