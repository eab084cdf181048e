package guard_test

import (
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/guard"
)

// FuzzBans: whatever a file of bans holds, what is read is written so that it is
// read again, and the same; and what is wrong has file and line.
func FuzzBans(f *testing.F) {
	for _, text := range []string{
		"address 192.0.2.0/24 until 2026-12-24T18:00:00Z because tries passwords\n",
		"# known\n\naddress 2001:db8::7%eth0\naddress ::ffff:1.2.3.4/120\n",
		"client \"a \\\"b\\\" \\x00\" because quotes\nuser until until 2262-04-11T23:47:16+02:00\n",
		"user a until 2600-01-01T00:00:00Z\nclient \"\nmallory\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := guard.ReadBans("bans", strings.NewReader(text))
		if err != nil && !strings.Contains(err.Error(), "bans") {
			t.Errorf("%v does not say where", err)
		}
		var bans guard.Bans
		for i := range list {
			line := list[i].Line()
			if strings.ContainsAny(line, "\r\n") {
				t.Fatalf("%q is more than a line", line)
			}
			again, err := guard.ParseBan(line)
			if err != nil || !again.Same(&list[i]) || again.Line() != line || list[i].Until/1e9 != again.Until/1e9 {
				t.Fatalf("%+v becomes %q, and that %+v, %v", list[i], line, again, err)
			}
			if err := bans.Add(0, list[i]); err != nil {
				t.Fatalf("%q is read and not taken: %v", line, err)
			}
		}
	})
}
