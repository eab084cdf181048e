package broker

import (
	"fmt"
	"os"
	"slices"

	"github.com/loopmq/loopmq/auth/password"
)

// warn tells what of the settings may not be what was meant, and which files are
// open to others. It is told at the start and after each reload.
func (b *Broker) warn(warnings []string) {
	for _, w := range warnings {
		b.logger().Warn(w)
	}
}

// Warnings are what of the settings may not be what was meant, and which files
// are open to others; before Run.
func (b *Broker) Warnings() []string { return slices.Clone(b.warnings) }

// insecure lists the files that hold secrets and that others may read.
func (c *Config) insecure() (warnings []string) {
	said := map[string]bool{"": true}
	passwords := func(path string) {
		if why := password.Insecure(path); why != "" && !said[path] {
			warnings = append(warnings, fmt.Sprintf("password file %s: %s", path, why))
		}
		said[path] = true
	}
	passwords(c.PasswordFile)
	for i := range c.Listeners {
		l := &c.Listeners[i]
		passwords(l.PasswordFile)
		if l.TLS == nil {
			continue
		}
		for i, path := range l.TLS.Keys {
			if path == "" && i < len(l.TLS.Certificates) {
				path = l.TLS.Certificates[i]
			}
			if info, err := os.Stat(path); err == nil && info.Mode()&0o006 != 0 && !said[path] {
				warnings = append(warnings, fmt.Sprintf("key of a certificate: %s is open to everybody (mode %04o); type: chmod 640 %s",
					path, info.Mode().Perm(), path))
			}
			said[path] = true
		}
	}
	return warnings
}
