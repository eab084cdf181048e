package mosquitto

import (
	"os"
	"testing"

	"github.com/loopmq/loopmq/internal/leak"
)

// TestMain: what has ended leaves no goroutine and no descriptor.
func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }
