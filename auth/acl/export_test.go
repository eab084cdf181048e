package acl

// What the tests look at from inside.
var (
	Matches = matches
	Covers  = covers
	Meet    = meet
)
