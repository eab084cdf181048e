package router

import "github.com/loopmq/loopmq/internal/timer"

// The beat tells a start how long the broker was away at most, so that sessions
// which were connected then do not live longer for it.
const (
	beatEvery = int64(600e9) // ns
	beatSlack = int64(60e9)
)

type beat struct{ timer timer.Timer }

func (k *keeper) startBeat() {
	if !k.beat.timer.Armed() {
		k.putBeat()
		k.r.timers.Set(&k.beat.timer, k, k.r.after(beatEvery))
	}
}

// Due notes that the broker runs, for as long as it has clients.
func (k *keeper) Due(int64) {
	if k.r.stats.Clients > 0 {
		k.startBeat()
	}
}

func (k *keeper) putBeat() {
	k.put(recordKey(tableMeta, metaBeat), appendTime(append(k.scratch[:0], recordVersion), k.now), nil, promised)
}
