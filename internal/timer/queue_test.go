package timer_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/loopmq/loopmq/internal/timer"
)

// job calls what the test gave it.
type job struct {
	timer.Timer
	id  int
	due func(j *job, now int64)
}

func (j *job) Due(now int64) { j.due(j, now) }

func jobs(n int, due func(j *job, now int64)) []*job {
	all := make([]*job, n)
	for i := range all {
		all[i] = &job{id: i, due: due}
	}
	return all
}

func TestZeroValuesAreStoppedAndEmpty(t *testing.T) {
	var q timer.Queue
	var one timer.Timer
	q.Stop(&one)
	if one.Armed() || q.Len() != 0 || q.Next() != 0 || q.Run(1<<62, 10) != 0 {
		t.Fatalf("armed %v, Len %d, Next %d", one.Armed(), q.Len(), q.Next())
	}
}

func TestEqualDeadlinesRunInTheOrderOfSet(t *testing.T) {
	var q timer.Queue
	var ran []int
	all := jobs(100, func(j *job, _ int64) { ran = append(ran, j.id) })
	for _, j := range all {
		q.Set(&j.Timer, j, 7)
	}
	q.Set(&all[0].Timer, all[0], 7) // set again: last in line
	if n := q.Run(7, 1000); n != 100 {
		t.Fatalf("ran %d of 100", n)
	}
	want := append(slices.Collect(func(yield func(int) bool) {
		for i := 1; i < 100 && yield(i); i++ {
		}
	}), 0)
	if !slices.Equal(ran, want) {
		t.Fatalf("order %v", ran)
	}
}

func TestRunStopsAtMaxAndLeavesTheRestDue(t *testing.T) {
	var q timer.Queue
	all := jobs(10, func(*job, int64) {})
	for i, j := range all {
		q.Set(&j.Timer, j, int64(10-i))
	}
	for _, step := range []struct{ max, ran, left int }{{0, 0, 10}, {-1, 0, 10}, {3, 3, 7}, {7, 7, 0}, {1, 0, 0}} {
		if ran := q.Run(100, step.max); ran != step.ran || q.Len() != step.left {
			t.Fatalf("Run(100, %d) = %d, %d left; want %d, %d", step.max, ran, q.Len(), step.ran, step.left)
		}
	}
}

func TestAJobThatRearmsItselfRunsOnceARun(t *testing.T) {
	var q timer.Queue
	runs := 0
	j := &job{}
	j.due = func(j *job, now int64) {
		if j.Armed() {
			t.Error("armed inside Due")
		}
		runs++
		q.Set(&j.Timer, j, now-5)
	}
	q.Set(&j.Timer, j, 3)
	if ran := q.Run(10, 1000); ran != 1 || runs != 1 || q.Next() != 11 {
		t.Fatalf("ran %d times, called %d, next %d; want 1, 1, 11", ran, runs, q.Next())
	}
	if ran := q.Run(11, 1000); ran != 1 || q.Next() != 12 {
		t.Fatalf("second Run ran %d, next %d", ran, q.Next())
	}
}

func TestAJobMayStopAndMoveOthers(t *testing.T) {
	var q timer.Queue
	var ran []int
	all := jobs(4, func(j *job, _ int64) { ran = append(ran, j.id) })
	all[0].due = func(*job, int64) {
		ran = append(ran, 0)
		q.Stop(&all[1].Timer)
		q.Set(&all[2].Timer, all[2], 50)
	}
	for i, j := range all {
		q.Set(&j.Timer, j, int64(i+1))
	}
	q.Run(10, 100)
	if !slices.Equal(ran, []int{0, 3}) || all[1].Armed() || !all[2].Armed() || q.Next() != 50 {
		t.Fatalf("ran %v, next %d", ran, q.Next())
	}
}

func TestDeadlinesBelowOneCountAsOne(t *testing.T) {
	var q timer.Queue
	j := &job{due: func(*job, int64) {}}
	q.Set(&j.Timer, j, -5)
	if q.Next() != 1 {
		t.Fatalf("Next %d, want 1: 0 means none", q.Next())
	}
}

func TestATimerOfAnotherQueueIsRefused(t *testing.T) {
	var a, b timer.Queue
	j := &job{}
	a.Set(&j.Timer, j, 1)
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	b.Stop(&j.Timer)
}

// oracle is a list that is searched for its minimum.
type oracle struct {
	seq uint64
	set map[int]armed
}

type armed struct {
	at  int64
	seq uint64
}

func (o *oracle) arm(id int, at int64) {
	o.seq++
	o.set[id] = armed{max(at, 1), o.seq}
}

func (o *oracle) first() (id int, found bool) {
	var best armed
	for i, a := range o.set {
		if !found || a.at < best.at || a.at == best.at && a.seq < best.seq {
			id, best, found = i, a, true
		}
	}
	return id, found
}

func (o *oracle) run(now int64, limit int) (ran []int) {
	for len(ran) < limit {
		id, ok := o.first()
		if !ok || o.set[id].at > now {
			break
		}
		delete(o.set, id)
		ran = append(ran, id)
	}
	return ran
}

func TestRandomOperationsAgreeWithAList(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var q timer.Queue
		o := oracle{set: map[int]armed{}}
		var ran []int
		all := jobs(1+rng.IntN(60), func(j *job, _ int64) { ran = append(ran, j.id) })
		now := int64(0)
		for step := range 1500 {
			j := all[rng.IntN(len(all))]
			switch rng.IntN(5) {
			case 0, 1, 2:
				at := now + rng.Int64N(20) - 3
				q.Set(&j.Timer, j, at)
				o.arm(j.id, at)
			case 3:
				q.Stop(&j.Timer)
				delete(o.set, j.id)
			case 4:
				now += rng.Int64N(8)
				limit := rng.IntN(6)
				ran = ran[:0]
				n := q.Run(now, limit)
				if want := o.run(now, limit); !slices.Equal(ran, want) || n != len(want) {
					t.Fatalf("seed %d step %d: ran %v (%d), want %v", seed, step, ran, n, want)
				}
			}
			next := int64(0)
			if id, ok := o.first(); ok {
				next = o.set[id].at
			}
			_, in := o.set[j.id]
			if q.Next() != next || q.Len() != len(o.set) || j.Armed() != in {
				t.Fatalf("seed %d step %d: Next %d want %d, Len %d want %d, armed %v", seed, step, q.Next(), next, q.Len(), len(o.set), j.Armed())
			}
		}
	}
}

func TestACrowdLeavesInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var q timer.Queue
	last, ran := int64(0), 0
	all := jobs(20_000, func(_ *job, now int64) { ran++ })
	for _, j := range all {
		at := rng.Int64N(1_000_000) + 1
		j.due = func(*job, int64) {
			if at < last {
				t.Errorf("deadline %d after %d", at, last)
			}
			last = at
			ran++
		}
		q.Set(&j.Timer, j, at)
	}
	for _, j := range all[:10_000] {
		q.Stop(&j.Timer)
	}
	for q.Run(2_000_000, 64) > 0 {
	}
	if ran != 10_000 || q.Len() != 0 {
		t.Fatalf("ran %d, left %d", ran, q.Len())
	}
}

func TestMovingATimerAllocatesNothing(t *testing.T) {
	var q timer.Queue
	all := jobs(1000, func(*job, int64) {})
	for i, j := range all {
		q.Set(&j.Timer, j, int64(i+1))
	}
	at := int64(1000)
	if n := testing.AllocsPerRun(1000, func() {
		at++
		q.Set(&all[at%1000].Timer, all[at%1000], at)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkSetMove(b *testing.B) {
	var q timer.Queue
	all := jobs(100_000, func(*job, int64) {})
	for i, j := range all {
		q.Set(&j.Timer, j, int64(i+1))
	}
	at := int64(len(all))
	for b.Loop() {
		at++
		j := all[at%int64(len(all))]
		q.Set(&j.Timer, j, at)
	}
}
