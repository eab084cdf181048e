package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzRepairMark: whatever stands in the file that decides for the segments of a repair, the exchange is made as it was
// meant or refused, and nothing that a segment holds is lost or put elsewhere.
func FuzzRepairMark(f *testing.F) {
	for _, text := range []string{
		"damaged-20261121-230000\n00000002.seg", "damaged-20261121-230000\n", "damaged-20261121-230000", "", "\n", "x\n00000003.seg",
		"../elsewhere\n00000002.seg", ".\n00000002.seg", "damaged-20261121-230000\n00000002.seg\n../00000001.seg", "repair.tmp\n00000002.seg",
	} {
		f.Add(strings.ReplaceAll(text, ".seg", segmentSuffix))
	}
	above := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		dir := filepath.Join(above, "store")
		defer os.RemoveAll(dir)
		one, two := "00000001"+segmentSuffix, "00000002"+segmentSuffix
		if err := os.MkdirAll(filepath.Join(dir, repairDir), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{one, filepath.Join(repairDir, two), repairMark} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := repairPending(dir)
		var left []string
		if err := filepath.Walk(above, func(path string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				left = append(left, strings.TrimPrefix(path, dir+"/"))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		old, list, _ := strings.Cut(text, "\n")
		want := []string{one, repairMark, filepath.Join(repairDir, two)}
		if err == nil {
			want = []string{two, filepath.Join(old, one)}
		}
		slices.Sort(left)
		slices.Sort(want)
		if !slices.Equal(left, want) || err == nil && list != two {
			t.Fatalf("%q: %v, and there is %q, want %q", text, err, left, want)
		}
	})
}
