package password

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const known = "argon2id, bcrypt, Mosquitto's $7$ and $6$, PBKDF2$sha512$"

// errPlain is the text of a password, or of anything else.
var errPlain = errors.New("no hash")

// parseHash reads a hash in any of the formats.
func parseHash(text string) (*hash, error) {
	if !strings.HasPrefix(text, "$") && !strings.HasPrefix(text, "PBKDF2$") {
		return nil, errPlain
	}
	kind, rest, _ := strings.Cut(strings.TrimPrefix(text, "$"), "$")
	part := strings.Split(rest, "$")
	var h *hash
	var err error
	switch kind {
	case "argon2id":
		h, err = parseArgon(part)
	case "2a", "2b", "2y":
		h, err = parseBcrypt(text, part[0])
	case "6":
		if len(part) != 2 {
			return nil, errors.New("$6$ hash: write $6$SALT$HASH")
		}
		h = &hash{params: Params{Kind: SHA512}}
		err = h.setKey(part[0], part[1], sha512.Size)
	case "7":
		h, err = parsePBKDF2(part)
	case "PBKDF2":
		if part[0] != "sha512" {
			return nil, fmt.Errorf("PBKDF2 with %.20q is not known; use sha512", part[0])
		}
		h, err = parsePBKDF2(part[1:])
	default:
		return nil, fmt.Errorf("hash %.20q is not known here (%s are)", text, known)
	}
	if err == nil {
		err = h.params.check()
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// parseArgon reads what follows $argon2id$.
func parseArgon(part []string) (*hash, error) {
	if len(part) != 4 {
		return nil, errors.New("argon2id hash: write $argon2id$v=19$m=KIB,t=PASSES,p=THREADS$SALT$HASH")
	}
	if part[0] != "v=19" {
		return nil, fmt.Errorf("argon2id %.20q: only v=19 is known", part[0])
	}
	h := &hash{params: Params{Kind: Argon2id}}
	field := strings.Split(part[1], ",")
	if len(field) != 3 {
		return nil, fmt.Errorf("argon2id parameters %.40q: write m=KIB,t=PASSES,p=THREADS", part[1])
	}
	var number [3]uint32
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(field[i], name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil {
			return nil, fmt.Errorf("argon2id parameters %.40q: write m=KIB,t=PASSES,p=THREADS", part[1])
		}
		number[i] = uint32(n)
	}
	if number[2] > argonThreadsMax {
		return nil, fmt.Errorf("p=%d: 1 to %d", number[2], argonThreadsMax)
	}
	h.params.Memory, h.params.Time, h.params.Threads = number[0], number[1], uint8(number[2])
	if err := h.setKey(part[2], part[3], 0); err != nil {
		return nil, err
	}
	if len(h.salt) < argonSaltBytesMin {
		return nil, fmt.Errorf("argon2id salt of %d bytes: at least %d", len(h.salt), argonSaltBytesMin)
	}
	return h, nil
}

// parsePBKDF2 reads iterations, salt and key.
func parsePBKDF2(part []string) (*hash, error) {
	if len(part) != 3 {
		return nil, errors.New("PBKDF2 hash: write $7$ITERATIONS$SALT$HASH or PBKDF2$sha512$ITERATIONS$SALT$HASH")
	}
	n, err := strconv.Atoi(part[0])
	if err != nil {
		return nil, fmt.Errorf("PBKDF2 iterations %.20q: write a number", part[0])
	}
	h := &hash{params: Params{Kind: PBKDF2SHA512, Iterations: n}}
	return h, h.setKey(part[1], part[2], 0)
}

// parseBcrypt takes the text whole, bcrypt itself reads it again.
func parseBcrypt(text, cost string) (*hash, error) {
	const write = "write $2b$COST$ and 53 characters"
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	n, err := strconv.Atoi(cost)
	if err != nil || len(cost) != 2 {
		return nil, fmt.Errorf("bcrypt cost %.20q: %s", cost, write)
	}
	if len(text) != bcryptTextBytes {
		return nil, fmt.Errorf("bcrypt hash of %d characters: %s", len(text), write)
	}
	if strings.Trim(text[len("$2b$10$"):], alphabet) != "" {
		return nil, fmt.Errorf("bcrypt hash with other characters than ./0-9A-Za-z: %s", write)
	}
	return &hash{params: Params{Kind: Bcrypt, Cost: n}, bcrypt: []byte(text)}, nil
}

// setKey decodes base64, with or without padding. size 0: any within bounds.
func (h *hash) setKey(salt, key string, size int) (err error) {
	decode := func(name, text string, least, most int) []byte {
		b, bad := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
		switch {
		case bad != nil:
			err = fmt.Errorf("%s is not base64", name)
		case len(b) < least || len(b) > most:
			err = fmt.Errorf("%s of %d bytes: %d to %d", name, len(b), least, most)
		}
		return b
	}
	least, most := keyBytesMin, keyBytesMax
	if size > 0 {
		least, most = size, size
	}
	h.salt = decode("salt", salt, saltBytesMin, saltBytesMax)
	if err == nil {
		h.key = decode("hash", key, least, most)
	}
	return err
}
