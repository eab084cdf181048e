package main

import (
	"fmt"
	"testing"
)

func TestOnlyCleanPartsOfTheProgramAreForgotten(t *testing.T) {
	part := func(head string, anonymous int) string {
		return fmt.Sprintf("%s\nSize: 4 kB\nAnonymous: %d kB\nVmFlags: rd\n", head, anonymous)
	}
	smaps := part("00400000-00401000 r-xp 00000000 fe:00 7 /bin/loopmq", 0) +
		part("00401000-00402000 r--p 00001000 fe:00 7 /bin/loopmq", 4) + // relocated when it was loaded
		part("00402000-00403000 rw-p 00002000 fe:00 7 /bin/loopmq", 0) +
		part("00403000-00405000 r--p 00003000 fe:00 7 /bin/loopmq", 0) +
		part("7f0000000000-7f0000001000 r-xp 00000000 fe:00 8 /lib/libc.so.6", 0) +
		part("7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0 [vdso]", 0)
	got := fmt.Sprintf("%x", programParts([]byte(smaps), "/bin/loopmq"))
	if want := "[[400000 401000] [403000 405000]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	forgetProgram() // and the test goes on
}
