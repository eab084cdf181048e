package config

// Plain is f without where its values come from, to be compared.
func (f *File) Plain() *File {
	plain := *f
	plain.origins, plain.warnings = nil, nil
	return &plain
}
