package broker_test

import (
	"os"
	"testing"

	"github.com/loopmq/loopmq/internal/leak"
)

// TestMain: brokers that have ended leave no goroutine and no descriptor.
func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }
