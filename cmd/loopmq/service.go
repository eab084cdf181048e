package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/loopmq/loopmq/broker"
)

// handedOver gives the sockets that systemd has opened to the listeners of the
// same name. What is left is served as the beginning of its name says: a socket
// called ws, or loopmq-ws.socket, as WebSocket, and anything else as MQTT.
func handedOver(listeners []broker.Listener, files []*os.File) ([]broker.Listener, error) {
	for _, f := range files {
		name := strings.TrimPrefix(strings.TrimSuffix(f.Name(), ".socket"), "loopmq-")
		taken := false
		for i := range listeners {
			if listeners[i].Name == name && listeners[i].File == nil {
				listeners[i].File, taken = f, true
				break
			}
		}
		if taken {
			continue
		}
		url := "mqtt://"
		switch {
		case strings.HasPrefix(name, "mqtts"), strings.HasPrefix(name, "wss"):
			return nil, fmt.Errorf("systemd hands over the socket %q, which needs a certificate; add a listener with name=%s that has one", f.Name(), name)
		case strings.HasPrefix(name, "ws"):
			url = "ws:///mqtt"
		}
		listeners = append(listeners, broker.Listener{URL: url, Name: name, File: f})
	}
	return listeners, nil
}

// socketsOfSystemd are the sockets that the service manager has opened for us.
func socketsOfSystemd() []*os.File { return activation.Files(true) }

// tell sends the service manager a word, if there is one.
func tell(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager cannot be told", "state", state, "error", err)
	}
}

// feedWatchdog tells the service manager that the loop turns, for as long as it
// does. It is the loop that answers here: one that hangs is restarted.
func feedWatchdog(ctx context.Context, b *broker.Broker, log *slog.Logger) {
	interval, err := daemon.SdWatchdogEnabled(true)
	if err != nil {
		log.Warn("the service manager's watchdog is set wrongly", "error", err)
	}
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := b.Alive(ctx); err != nil {
			return
		}
		tell(log, daemon.SdNotifyWatchdog)
	}
}

// dumpOnSignal writes the broker's state to the log at each SIGUSR1.
func dumpOnSignal(b *broker.Broker, log *slog.Logger) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR1)
	go func() {
		for range ch {
			if err := b.Dump(context.Background()); err != nil {
				log.Error("state cannot be told", "error", err)
			}
		}
	}()
}

// reloadOnSignal calls reload at each SIGHUP. What fails changes nothing.
func reloadOnSignal(log *slog.Logger, reload func() error) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	go func() {
		for range ch {
			tell(log, reloading())
			if err := reload(); err != nil {
				log.Error("reload failed; what held before still holds", "error", err)
			} else {
				log.Info("reloaded")
			}
			tell(log, daemon.SdNotifyReady)
		}
	}()
}
