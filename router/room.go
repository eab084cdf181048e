package router

import "slices"

// roomMin is the length from which on a list is looked through before it grows.
const roomMin = 16

// withRoom makes room for one more in a list of those that wait. While the disk is
// full, hangs or has failed, or memory is short, they come and go for days: those
// that are gone leave the list before it grows, so that it is at most about twice as
// long as ever so many waited at a time.
func withRoom[T any](list []T, gone func(T) bool) []T {
	n := len(list)
	if n < roomMin || n < cap(list) {
		return list
	}
	return slices.Grow(slices.DeleteFunc(list, gone), n/2)
}
