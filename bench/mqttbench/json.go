package mqttbench

import (
	"encoding/json"
	"io"
)

// WriteJSON writes the document that the tool writes, indented by tabs as there.
func (r *Results) WriteJSON(to io.Writer) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "\t")
	return e.Encode(r)
}
