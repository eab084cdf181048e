package mqttbench

import (
	"bufio"
	"fmt"
	"io"
)

// WriteText writes the lines that the tool writes.
func (r *Results) WriteText(to io.Writer) error {
	w := bufio.NewWriter(to)
	for i := range r.Runs {
		c := &r.Runs[i]
		fmt.Fprintf(w, "======= CLIENT %d =======\n", c.ID)
		line(w, 21, "Ratio:", "%s", share(c.Successes, c.Failures))
		line(w, 21, "Runtime (s):", "%.3f", c.RunTime)
		line(w, 21, "Msg time min (ms):", "%.3f", c.MsgTimeMin)
		line(w, 21, "Msg time max (ms):", "%.3f", c.MsgTimeMax)
		line(w, 21, "Msg time mean (ms):", "%.3f", c.MsgTimeMean)
		line(w, 21, "Msg time std (ms):", "%.3f", c.MsgTimeStd)
		line(w, 21, "Bandwidth (msg/sec):", "%.3f\n", c.MsgsPerSec)
	}
	t := &r.Totals
	fmt.Fprintf(w, "========= TOTAL (%d) =========\n", len(r.Runs))
	line(w, 29, "Total Ratio:", "%s", share(t.Successes, t.Failures))
	line(w, 29, "Total Runtime (sec):", "%.3f", t.TotalRunTime)
	line(w, 29, "Average Runtime (sec):", "%.3f", t.AvgRunTime)
	line(w, 29, "Msg time min (ms):", "%.3f", t.MsgTimeMin)
	line(w, 29, "Msg time max (ms):", "%.3f", t.MsgTimeMax)
	line(w, 29, "Msg time mean mean (ms):", "%.3f", t.MsgTimeMeanAvg)
	line(w, 29, "Msg time mean std (ms):", "%.3f", t.MsgTimeMeanStd)
	line(w, 29, "Average Bandwidth (msg/sec):", "%.3f", t.AvgMsgsPerSec)
	line(w, 29, "Total Bandwidth (msg/sec):", "%.3f", t.TotalMsgsPerSec)
	return w.Flush()
}

// line is a label, padded to a width, and a value.
func line(w io.Writer, width int, label, format string, value any) {
	fmt.Fprintf(w, "%-*s"+format+"\n", width, label, value)
}

func share(successes, failures int64) string {
	return fmt.Sprintf("%.3f (%d/%d)", ratio(successes, failures), successes, successes+failures)
}
