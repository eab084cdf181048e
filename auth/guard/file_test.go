package guard_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/auth/guard"
)

// TestReadBans: what is written is read again, and the same.
func TestReadBans(t *testing.T) {
	const text = "# known ones\n\n" +
		"address 192.0.2.0/24 until 2026-12-24T18:00:00Z because tries passwords\n" +
		"address 2001:db8::7\n" +
		"  client \"sensor 7\"  \n" +
		"client \"a \\\"b\\\" \\x00\" because quotes\n" +
		"user until until 2026-12-24T18:00:00+02:00\n" +
		"user mallory because left\n"
	list, err := guard.ReadBans("bans", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range list {
		got = append(got, list[i].Line())
		again, err := guard.ParseBan(list[i].Line())
		if err != nil || again != list[i] || !again.Same(&list[i]) {
			t.Errorf("%q becomes %+v, %v", list[i].Line(), again, err)
		}
	}
	want := []string{
		"address 192.0.2.0/24 until 2026-12-24T18:00:00Z because tries passwords",
		"address 2001:db8::7",
		`client "sensor 7"`,
		`client "a \"b\" \x00" because quotes`,
		"user until until 2026-12-24T16:00:00Z",
		"user mallory because left",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestReadBadBans: every line that is wrong is told, with what would be right.
func TestReadBadBans(t *testing.T) {
	_, err := guard.ReadBans("bans", strings.NewReader("mallory\nuser\naddress 192.0.2\nuser a until tomorrow\nclient a b\nclient \"a\nuser good\naddress ::ffff:1.2.3.4/80\nuser a until 2600-01-01T00:00:00Z\nuser a until 1970-01-01T00:00:00Z\n"))
	if err == nil {
		t.Fatal("taken")
	}
	want := []string{
		`bans:1: "mallory": write address, client or user, and whom`,
		`bans:2: a user name of 0 bytes: 1 to 65535`,
		`bans:3: "192.0.2" is neither an address nor a network; write 192.0.2.7 or 192.0.2.0/24`,
		`bans:4: until "tomorrow": write a time as 2026-12-24T18:00:00Z`,
		`bans:5: "b": write until TIME, and because REASON; a name with spaces stands in quotes`,
		`bans:6: "\"a": the quote is not closed, or \ stands for nothing`,
		`bans:8: network ::ffff:1.2.3.4/80: write an IPv4 network as such`,
		`bans:9: until "2600-01-01T00:00:00Z": write a time as 2026-12-24T18:00:00Z`,
		`bans:10: until "1970-01-01T00:00:00Z": write a time as 2026-12-24T18:00:00Z`, // 0 would be for ever
	}
	if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
