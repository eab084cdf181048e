package password

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Kind is a way to make a hash of a password.
type Kind string

// The kinds that are read. SHA512 is Mosquitto's $6$: too quick to be written.
const (
	Argon2id     Kind = "argon2id"
	Bcrypt       Kind = "bcrypt"
	PBKDF2SHA512 Kind = "pbkdf2-sha512"
	SHA512       Kind = "sha512"
)

// Bounds of what a hash in a file may ask for, so that no line makes one login
// take more than about two seconds of a core or a quarter of a gigabyte.
const (
	argonMemoryMax       = 256 << 10 // KiB
	argonWorkMax         = 1 << 20   // KiB times passes
	argonThreadsMax      = 16
	pbkdf2IterationsMax  = 2_000_000
	bcryptCostMax        = 14
	saltBytesMin         = 1 // Mosquitto takes any
	saltBytesMax         = 64
	keyBytesMin          = 16
	keyBytesMax          = 64
	argonSaltBytesMin    = 8 // RFC 9106
	bcryptPasswordMax    = 72
	bcryptTextBytes      = 60
	newSaltBytes         = 16
	mosquittoSaltBytes   = 12 // of new $7$ hashes, as mosquitto_passwd makes them
	newArgonKeyBytes     = 32
	bcryptAlphabetFiller = "abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDE"
)

// Params are the cost of a hash. Only those of its Kind count.
type Params struct {
	Kind       Kind
	Memory     uint32 // argon2id: KiB
	Time       uint32 // argon2id: passes over the memory
	Threads    uint8  // argon2id
	Iterations int    // PBKDF2
	Cost       int    // bcrypt: base 2 logarithm
}

// Defaults are the parameters of new hashes of a kind.
func Defaults(k Kind) (Params, error) {
	switch k {
	case Argon2id:
		return Params{Kind: k, Memory: 19 << 10, Time: 2, Threads: 1}, nil
	case Bcrypt:
		return Params{Kind: k, Cost: 10}, nil
	case PBKDF2SHA512:
		return Params{Kind: k, Iterations: 210_000}, nil
	}
	return Params{}, fmt.Errorf("hash %q is not written; use %s, %s or %s", k, Argon2id, Bcrypt, PBKDF2SHA512)
}

// check says what is out of bounds.
func (p Params) check() error {
	switch p.Kind {
	case Argon2id:
		switch {
		case p.Threads < 1 || p.Threads > argonThreadsMax:
			return fmt.Errorf("p=%d: 1 to %d", p.Threads, argonThreadsMax)
		case p.Memory < 8*uint32(p.Threads) || p.Memory > argonMemoryMax:
			return fmt.Errorf("m=%d: %d to %d KiB", p.Memory, 8*uint32(p.Threads), argonMemoryMax)
		case p.Time < 1 || uint64(p.Time)*uint64(p.Memory) > argonWorkMax:
			return fmt.Errorf("t=%d with m=%d: at least 1, and their product at most %d", p.Time, p.Memory, argonWorkMax)
		}
	case Bcrypt:
		if p.Cost < bcrypt.MinCost || p.Cost > bcryptCostMax {
			return fmt.Errorf("bcrypt cost %d: %d to %d", p.Cost, bcrypt.MinCost, bcryptCostMax)
		}
	case PBKDF2SHA512:
		if p.Iterations < 1 || p.Iterations > pbkdf2IterationsMax {
			return fmt.Errorf("%d iterations: 1 to %d", p.Iterations, pbkdf2IterationsMax)
		}
	case SHA512:
	default:
		return fmt.Errorf("hash %q is not known", p.Kind)
	}
	return nil
}

// hash is what is kept of a password.
type hash struct {
	params    Params
	salt, key []byte
	bcrypt    []byte // the whole text, of bcrypt only
}

// Passwords that a kind cannot tell from others. bcrypt repeats the password
// with a NUL between, PBKDF2 fills it up with NULs, and bcrypt stops after 72
// bytes.
var (
	errNUL  = errors.New("a password with a NUL byte cannot be told from others in this kind of hash; argon2id can")
	errLong = fmt.Errorf("bcrypt sees only %d bytes of a password; argon2id sees all", bcryptPasswordMax)
)

// distinct says whether the kind looks at every byte of the password.
func (k Kind) distinct(password []byte) error {
	if (k == Bcrypt || k == PBKDF2SHA512) && bytes.IndexByte(password, 0) >= 0 {
		return errNUL
	}
	if k == Bcrypt && len(password) > bcryptPasswordMax {
		return errLong
	}
	return nil
}

// verify compares in time that does not depend on where the keys differ. A
// password that the kind cannot judge costs as much as any other.
func (h *hash) verify(password []byte) (bool, error) {
	indistinct := h.params.Kind.distinct(password)
	if h.params.Kind == Bcrypt {
		err := bcrypt.CompareHashAndPassword(h.bcrypt, password[:min(len(password), bcryptPasswordMax)])
		if indistinct != nil {
			return false, indistinct
		}
		if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, fmt.Errorf("compare with a bcrypt hash: %w", err)
		}
		return err == nil, nil
	}
	key, err := derive(h.params, password, h.salt, len(h.key))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, h.key) == 1 && indistinct == nil, indistinct
}

// derive computes the key of a password for all kinds but bcrypt.
func derive(p Params, password, salt []byte, size int) ([]byte, error) {
	switch p.Kind {
	case Argon2id:
		return argon2.IDKey(password, salt, p.Time, p.Memory, p.Threads, uint32(size)), nil
	case PBKDF2SHA512:
		key, err := pbkdf2.Key(sha512.New, string(password), salt, p.Iterations, size)
		if err != nil {
			return nil, fmt.Errorf("derive a key with PBKDF2: %w", err)
		}
		return key, nil
	default:
		h := sha512.New()
		h.Write(password)
		h.Write(salt)
		return h.Sum(nil), nil
	}
}

// Hash makes the hash of a password as it stands in a file, with a new salt.
func Hash(password []byte, p Params) (string, error) {
	if _, err := Defaults(p.Kind); err != nil {
		return "", err
	}
	if err := errors.Join(p.check(), p.Kind.distinct(password)); err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	if p.Kind == Bcrypt {
		text, err := bcrypt.GenerateFromPassword(password, p.Cost)
		if err != nil {
			return "", fmt.Errorf("hash a password: %w", err)
		}
		return string(text), nil
	}
	salt, size := make([]byte, newSaltBytes), newArgonKeyBytes
	if p.Kind == PBKDF2SHA512 {
		salt, size = salt[:mosquittoSaltBytes], sha512.Size
	}
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("draw a salt: %w", err)
	}
	key, err := derive(p, password, salt, size)
	if err != nil {
		return "", err
	}
	if p.Kind == PBKDF2SHA512 {
		std := base64.StdEncoding
		return fmt.Sprintf("$7$%d$%s$%s", p.Iterations, std.EncodeToString(salt), std.EncodeToString(key)), nil
	}
	raw := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, p.Memory, p.Time, p.Threads, raw.EncodeToString(salt), raw.EncodeToString(key)), nil
}

// nobody is a hash that costs p and fits no password that anybody finds.
func nobody(p Params) *hash {
	h := &hash{params: p, salt: make([]byte, newSaltBytes), key: make([]byte, newArgonKeyBytes)}
	switch p.Kind {
	case Bcrypt:
		h.bcrypt = fmt.Appendf(nil, "$2b$%02d$%s", p.Cost, bcryptAlphabetFiller)
	case PBKDF2SHA512, SHA512:
		h.key = make([]byte, sha512.Size)
	}
	return h
}
