//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loopmq/loopmq/bench"
)

// Cores: the broker's and the generator's.
const (
	brokerCore    = 0
	generatorCore = 1
)

// kind is a way in.
type kind struct {
	name           string
	tls, web, unix bool
}

// kinds are the doors, TCP first: the others are compared with it.
//
// table: never written.
var kinds = []kind{
	{name: "tcp"}, {name: "ws", web: true}, {name: "tls", tls: true}, {name: "wss", tls: true, web: true}, {name: "unix", unix: true},
}

// load is what is sent.
type load struct {
	name                  string
	subscribers, payload  int
	aheadBytes, idleConns int
}

// loads are what goes through each door.
//
// table: never written.
var loads = []load{
	{name: "1to1-64B", subscribers: 1, payload: 64, aheadBytes: 192 << 10},
	{name: "1to1-1KiB", subscribers: 1, payload: 1024, aheadBytes: 192 << 10},
	{name: "1to100-64B", subscribers: 100, payload: 64, aheadBytes: 32 << 10},
	{name: "idle", idleConns: 1000},
}

type plan struct {
	loopmq, mosquitto string
	rounds            int
	measure           time.Duration
	only, door        string
	certs             *certificate
}

func main() {
	p := &plan{}
	flag.StringVar(&p.loopmq, "loopmq", "", "loopmq `binary` to measure")
	flag.StringVar(&p.mosquitto, "mosquitto", "", "mosquitto `binary` to compare with")
	flag.IntVar(&p.rounds, "rounds", 3, "how often everything runs")
	flag.DurationVar(&p.measure, "measure", 2*time.Second, "measured part of a run")
	flag.StringVar(&p.only, "load", "", "run only this `load`")
	flag.StringVar(&p.door, "door", "", "go only through this `door`; there is no ratio then")
	flag.Parse()
	if err := p.run(); err != nil {
		fmt.Fprintln(os.Stderr, "doorbench:", err)
		os.Exit(1)
	}
}

func (p *plan) run() (err error) {
	if p.loopmq == "" && p.mosquitto == "" {
		return errors.New("nothing to measure: name a broker with -loopmq or -mosquitto")
	}
	if p.rounds < 1 || p.measure <= 0 {
		return errors.New("-rounds is at least 1, -measure more than 0")
	}
	dir, err := os.MkdirTemp("", "doorbench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if p.certs, err = newCertificate(dir); err != nil {
		return err
	}
	if err := pinAll(generatorCore); err != nil {
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "load\tbroker\tdoor\tdeliveries/s\tbroker CPU µs each\t× tcp\tbytes each\t")
	for _, l := range loads {
		if p.only != "" && p.only != l.name {
			continue
		}
		for _, b := range p.brokers() {
			if err := p.compare(t, b, l, dir); err != nil {
				return err
			}
		}
	}
	return p.ceiling(t)
}

// ceiling is what crypto/tls does in memory: with a record for each message,
// and with many messages to a record, as the publishers send them.
func (p *plan) ceiling(t *tabwriter.Writer) error {
	for _, recordBytes := range []int{1 << 10, batchBytes} {
		var found []float64
		for range p.rounds {
			each, err := memoryTLS(p.certs, recordBytes)
			if err != nil {
				return err
			}
			found = append(found, each)
		}
		fmt.Fprintf(t, "1to1-1KiB\tcrypto/tls\tin memory, records of %d\t\t%.3f\t\t\t\n", recordBytes, middle(found))
	}
	return t.Flush()
}

// broker is one of those compared.
type broker struct {
	name    string
	command func(d doors, dir string) ([]string, error)
}

func (p *plan) brokers() (list []broker) {
	if p.loopmq != "" {
		list = append(list, broker{"loopmq", func(d doors, _ string) ([]string, error) { return loopmqCommand(p.loopmq, d, p.certs), nil }})
	}
	if p.mosquitto != "" {
		list = append(list, broker{"mosquitto", func(d doors, dir string) ([]string, error) { return mosquittoCommand(p.mosquitto, d, p.certs, dir) }})
	}
	return list
}

// compare runs a load through every door, round by round, and prints medians.
func (p *plan) compare(t *tabwriter.Writer, b broker, l load, dir string) error {
	found := map[string][]result{}
	for range p.rounds {
		for _, k := range kinds {
			if p.door != "" && p.door != k.name {
				continue
			}
			if b.name == "mosquitto" && k.web && (l.idleConns > 0 || l.subscribers > 1) {
				continue // its WebSocket takes minutes for many connections
			}
			r, err := p.one(b, k, l, dir)
			if err != nil {
				return fmt.Errorf("%s, %s through %s: %w", l.name, b.name, k.name, err)
			}
			found[k.name] = append(found[k.name], r)
		}
	}
	plain := median(found["tcp"], func(r result) float64 { return r.cpuEach })
	for _, k := range kinds {
		runs := found[k.name]
		if len(runs) == 0 {
			continue
		}
		if l.idleConns > 0 {
			fmt.Fprintf(t, "%s\t%s\t%s\t\t\t\t%.0f\t\n", l.name, b.name, k.name, median(runs, func(r result) float64 { return r.bytesEach }))
			continue
		}
		cpu := median(runs, func(r result) float64 { return r.cpuEach })
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.3f\t%.2f\t\t\n", l.name, b.name, k.name,
			median(runs, func(r result) float64 { return r.rate }), cpu, cpu/max(plain, 1e-9))
	}
	return t.Flush()
}

func (p *plan) one(b broker, k kind, l load, dir string) (r result, err error) {
	var d doors
	free := func() {}
	defer func() { free() }()
	process, err := bench.Start(bench.Target{Name: b.name, Command: func(addr netip.AddrPort, own string) ([]string, error) {
		if d, free, err = newDoors(addr, own); err != nil {
			return nil, err
		}
		return b.command(d, own)
	}}, brokerCore)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	g := &generator{kind: k, load: l, doors: d, certs: p.certs, pid: process.PID}
	if l.idleConns > 0 {
		return g.idle()
	}
	return g.stream(p.measure)
}

// result is what one run found.
type result struct {
	rate, cpuEach float64 // deliveries a second; µs of the broker for one
	bytesEach     float64 // of an idle connection
}

func median(runs []result, of func(result) float64) float64 {
	values := make([]float64, 0, len(runs))
	for _, r := range runs {
		values = append(values, of(r))
	}
	return middle(values)
}

func middle(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// pinAll keeps every thread of this process on one core; new ones inherit it.
func pinAll(core int) error {
	var only unix.CPUSet
	only.Set(core)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("threads of the generator: %w", err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err == nil {
			err = unix.SchedSetaffinity(id, &only)
		}
		if err != nil {
			return fmt.Errorf("pin thread %s to core %d: %w", task.Name(), core, err)
		}
	}
	return nil
}
