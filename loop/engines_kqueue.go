//go:build darwin || freebsd

package loop

// kinds lists the engines of this platform, the default one first.
func kinds() []engineKind {
	return []engineKind{{"evio", openEvio}}
}
