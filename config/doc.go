// Package config reads the configuration of a broker: one TOML file with what
// it includes, the environment, and flags.
//
// File is the configuration, and its rows (file_rows.go, listener_rows.go,
// auth_rows.go) are the one table of its keys: name, type, default, unit, what
// a reload does with it, and what it means. Reading, checking, the example of
// `loopmq config init`, `config show`, `config explain`, `config diff`,
// docs/configuration.md and the man page are all made from that table, so that
// none of them can tell something else. The keys of [limits] come from
// broker.LimitRows.
//
// Load finds everything that is wrong at once; a Problem says where, which key,
// what is wrong and what would be right.
//
// The package has no state. A File belongs to whoever loaded it.
package config
