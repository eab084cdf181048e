package broker

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/loopmq/loopmq/auth/guard"
)

// readBans puts those of the settings and of their file on the list.
func (s *settings) readBans() error {
	bans := s.cfg.Bans
	if path := s.cfg.BanFile; path != "" {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("list of bans: %w", err)
		}
		defer f.Close()
		more, err := guard.ReadBans(path, f)
		if err != nil {
			return fmt.Errorf("list of bans: %w", err)
		}
		bans = slices.Concat(bans, more)
	}
	now := time.Now().UnixNano()
	for _, ban := range bans {
		if err := s.bans.Add(now, ban); err != nil {
			return err
		}
	}
	return nil
}
