package report

import (
	"fmt"
	"math"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, row := range []struct {
		a    axis
		want string
	}{
		{linear(0, 34000, 5), "[0 10000 20000 30000 40000]"},
		{linear(0, 0, 5), "[0 0.2 0.4 0.6 0.8 1]"},
		{linear(-3, 9, 5), "[-5 0 5 10]"},
		{linear(0, 100, 5), "[0 20 40 60 80 100]"},
		{tight(0.5, 10.1, 8), "[2 4 6 8 10]"},
		{logarithmic(0.05, 800), "[0.01 0.1 1 10 100 1000]"},
		{logarithmic(1, 30), "[1 2 5 10 20 50 100]"},
		{logarithmic(10, 10), "[10 20 50 100]"},
	} {
		round := make([]float64, len(row.a.ticks))
		for i, v := range row.a.ticks {
			round[i] = math.Round(v*1e6) / 1e6
		}
		if got := fmt.Sprint(round); got != row.want {
			t.Errorf("got %s, want %s", got, row.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 0.02: "0.02", 0.2: "0.2", 12.34: "12.3", 999: "999", 1000: "1k", 1500: "1.5k", 34567: "34.6k",
		2.5e6: "2.5M", 3e9: "3G", -1500: "-1.5k", 100: "100", 20: "20",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	if got := quantity(2.5e6, "B/s"); got != "2.5 MB/s" {
		t.Error(got)
	}
	if got := quantity(34000, "msg/s"); got != "34k msg/s" {
		t.Error(got)
	}
	if got := quantity(34, "%"); got != "34 %" {
		t.Error(got)
	}
}
