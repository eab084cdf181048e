package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/loopmq/loopmq/bench/mqttbench"
)

// process is that of a broker which is measured.
type process struct {
	pid  int    // 0: not known
	name string // for people
	why  error  // it is not known
}

// brokerProcess is the one of --pid, or the one that listens where the URL leads.
func brokerProcess(c *cli.Context, url string) (p process, err error) {
	if c.IsSet("pid") {
		p.pid = c.Int("pid")
		if _, err := mqttbench.ReadProcess(p.pid); err != nil {
			return p, fmt.Errorf("--pid %d: %w", p.pid, err)
		}
	} else if p.pid, p.why = mqttbench.FindProcess(url); p.why != nil {
		p.name = "not known"
		return p, nil
	}
	p.name = fmt.Sprintf("%s, PID %d", mqttbench.ProcessName(p.pid), p.pid)
	return p, nil
}

// missing is why there are no charts of it.
func (p *process) missing() string {
	if p.why == nil {
		return "The process ended too soon to be seen."
	}
	return fmt.Sprintf("Not known: %v. With --pid you can say which process it is.", p.why)
}
