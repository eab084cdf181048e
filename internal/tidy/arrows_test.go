package tidy

import (
	"slices"
	"strings"
)

const module = "github.com/loopmq/loopmq"

// arrows are the packages of ours that each package may import.
var arrows = map[string][]string{
	"cmd/loopmq":          {"broker/record", "router", "auth/acl", "auth/guard", "auth/password", "bench", "bench/mqttbench", "bench/report", "broker", "client", "codec", "config", "config/mosquitto", "router/topic", "store"},
	"broker":              {"broker/mosquittodb", "broker/record", "auth", "auth/acl", "auth/certs", "auth/guard", "auth/password", "auth/token", "loop", "loop/transport", "router", "router/topic", "codec", "internal/buf", "internal/invariant", "store"},
	"broker/mosquittodb":  {},
	"broker/record":       {"router", "codec", "internal/buf"},
	"config":              {"broker", "auth/callout", "auth/guard", "auth/token"},
	"config/mosquitto":    {"config"},
	"loop":                {"internal/buf", "internal/invariant"},
	"router":              {"codec", "router/topic", "internal/buf", "internal/timer", "internal/invariant"},
	"router/topic":        {},
	"codec":               {},
	"auth":                {},
	"auth/scram":          {},
	"auth/certs":          {},
	"store":               {},
	"client":              {"codec"},
	"conformance":         {"broker", "auth/scram"},
	"conformance/clients": {"broker"},
	"conformance/child":   {"broker", "loop", "router"},
	"conformance/hostile": {"broker", "conformance/child"},
	"conformance/soak":    {"broker", "client", "codec", "conformance/child"},
	"conformance/doors":   {"broker", "client"},
	"bench":               {"client", "codec", "loop"},
	"bench/loopbench":     {"bench"},
	"bench/doorbench":     {"bench"},
	"bench/relay":         {"codec", "loop", "internal/buf"},
	"internal/buf":        {"internal/invariant"},
	"internal/timer":      {"internal/invariant"},
	"internal/invariant":  {},
	"internal/leak":       {"internal/invariant"},
	"internal/testkit":    {"internal/leak"},
	"internal/sim":        {"router", "internal/buf", "store"},
	"internal/tidy":       {},
	"bench/mqttbench":     {"client", "codec", "internal/invariant"},
	"bench/report":        {},
	"auth/password":       {},
	"auth/callout":        {"auth"},
	"auth/acl":            {"router/topic"},
	"auth/token":          {"router/topic"},
	"auth/guard":          {},
	"loop/transport":      {"loop", "internal/buf", "internal/invariant"},
}

// testArrows are what the tests of a package may import besides.
var testArrows = map[string][]string{
	"auth/acl":            {"client", "codec", "internal/leak", "internal/testkit"},
	"auth/callout":        {"internal/leak"},
	"auth/certs":          {"internal/leak", "internal/testkit"},
	"broker/record":       {"internal/leak", "internal/testkit"},
	"client":              {"internal/leak", "internal/testkit"},
	"loop/transport":      {"internal/leak", "internal/testkit"},
	"store":               {"internal/leak"},
	"bench":               {"broker", "internal/leak"},
	"bench/mqttbench":     {"broker", "internal/leak", "internal/testkit"},
	"config":              {"internal/leak", "internal/testkit"},
	"codec":               {"internal/testkit"},
	"config/mosquitto":    {"internal/leak", "internal/testkit"},
	"auth/password":       {"internal/leak", "internal/testkit"},
	"conformance/soak":    {"internal/leak", "internal/testkit"},
	"broker":              {"client", "internal/leak", "internal/testkit"},
	"cmd/loopmq":          {"codec", "internal/invariant", "internal/leak", "internal/testkit"},
	"conformance":         {"internal/leak", "internal/testkit"},
	"conformance/clients": {"internal/leak", "internal/testkit"},
	"conformance/doors":   {"internal/leak", "internal/testkit"},
	"conformance/hostile": {"internal/leak", "internal/testkit"},
	"loop":                {"internal/leak", "internal/testkit"},
	"router":              {"store", "internal/testkit"},
}

// modules are the modules of others that each package may import; who is not
// here lives on the standard library.
var modules = map[string][]string{
	"cmd/loopmq":      {"github.com/urfave/cli/v2", "github.com/lmittmann/tint", "golang.org/x/term", "github.com/ncruces/go-strftime", "github.com/coreos/go-systemd", "github.com/KimMachineGun/automemlimit", "golang.org/x/sys"},
	"store":           {"golang.org/x/sys"},
	"auth/scram":      {"github.com/xdg-go/scram"},
	"auth/password":   {"golang.org/x/crypto"},
	"auth/token":      {"github.com/golang-jwt/jwt/v5"},
	"config":          {"github.com/pelletier/go-toml/v2"},
	"loop":            {"golang.org/x/sys", "github.com/tidwall/evio"},
	"bench":           {"golang.org/x/sys", "github.com/HdrHistogram/hdrhistogram-go"},
	"loop/transport":  {"github.com/gobwas/ws"},
	"client":          {"github.com/gobwas/ws"},
	"bench/loopbench": {"golang.org/x/sys"},
	"bench/doorbench": {"golang.org/x/sys"},
}

// testModules may be imported by any test.
var testModules = []string{
	"github.com/eclipse/paho.mqtt.golang", "github.com/eclipse/paho.golang", "golang.org/x/sys",
	"github.com/pires/go-proxyproto", "github.com/coder/websocket",
}

// pure are the packages whose every output follows from their arguments.
var pure = []string{
	"router", "router/topic", "codec", "internal/buf", "internal/timer", "internal/sim",
	"auth/acl", "auth/token", "auth/guard",
}

// pureImports may not be imported by pure packages.
var pureImports = []string{"sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand", "os", "net", "syscall"}

// pureTime are the functions of package time that read or wait for the clock.
var pureTime = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// starters are the files that may start goroutines.
var starters = []string{
	"auth/certs/watch.go",       // reads files every few seconds
	"bench/mqttbench/watch.go",  // takes samples while clients run
	"bench/relay/main.go",       // waits for the signal to stop
	"bench/target.go",           // waits for the process it started
	"broker/loginpool.go",       // checks passwords, which takes time
	"broker/logqueue.go",        // hands records to a logger that may block
	"broker/record/recorder.go", // writes to a disk that may be slow
	"client/conn.go",
	"conformance/child/serve.go",   // a broker in a process of its own
	"cmd/loopmq/output.go",         // writes to a slow terminal or pipe
	"bench/doorbench/generator.go", // a connection each
	"bench/doorbench/ceiling.go",   // the other side of a handshake
	"cmd/loopmq/publines.go",       // waits for standard input
	"cmd/loopmq/serve.go",
	"loop/transport/tlsshake.go", // handshakes calculate for a millisecond
	"internal/invariant/off.go",  // counts timers
	"internal/invariant/on.go",
	"internal/testkit/process.go", // reads what processes say
	"internal/testkit/mosquitto.go",
	"internal/testkit/serve.go", // a broker for a test
	"store/writer.go",           // commits and reads, both of which wait for the disk
	"loop/files_linux.go",       // the kernel waits before the table of descriptors grows
	"loop/evio.go",              // evio accepts work on its own goroutines
	"cmd/loopmq/service.go",     // waits for SIGHUP
}

// importRule: arrows of ours, and modules of others.
func importRule(s *source) (found []string) {
	if _, known := arrows[s.dir]; !known {
		return []string{s.at(s.file.Package, "package %s has no row in arrows (internal/tidy/arrows_test.go)", s.dir)}
	}
	ours := append([]string{s.dir}, arrows[s.dir]...)
	others := modules[s.dir]
	if s.test {
		ours = append(ours, testArrows[s.dir]...)
		others = append(slices.Clone(testModules), others...)
	}
	for _, spec := range s.file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if dir, mine := strings.CutPrefix(path, module+"/"); mine {
			if !slices.Contains(ours, dir) {
				found = append(found, s.at(spec.Pos(), "%s may not import %s", s.dir, dir))
			}
			continue
		}
		host, _, _ := strings.Cut(path, "/")
		if strings.Contains(host, ".") && !slices.ContainsFunc(others, func(m string) bool {
			return path == m || strings.HasPrefix(path, m+"/")
		}) {
			found = append(found, s.at(spec.Pos(), "%s may not import module package %s", s.dir, path))
		}
	}
	return found
}
