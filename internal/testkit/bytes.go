package testkit

import (
	"encoding/hex"
	"strings"
)

// Bytes reads a packet that a test writes down: hex with spaces, and 'text' as its letters. What is neither panics.
func Bytes(text string) (b []byte) {
	for i, part := range strings.Split(text, "'") {
		if i%2 == 1 {
			b = append(b, part...)
			continue
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		must(err)
		b = append(b, raw...)
	}
	return b
}
