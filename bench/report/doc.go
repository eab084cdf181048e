// Package report writes measurements as one HTML page that needs nothing else:
// its charts are SVG, it has no script, and it follows the reader's choice of
// light or dark.
//
// Owner: nobody; a Page is plain data.
//
// Imports: the standard library.
//
// Start with: Page, Panel, Series; Page.Write.
//
// Caveats: a chart keeps as many points as it is wide, the mean of those that
// fall together.
//
// No compatibility promise before v1.
package report
