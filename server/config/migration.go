package config

import (
	"path/filepath"
	"reflect"
)

// Migration says from which storage to which one everything is copied.
type Migration struct {
	Origin
	Source      *Storage `conf:"storage_source,required"`
	Destination *Storage `conf:"storage_destination,required"`

	_ struct{} `ignored:"cluster_addr"`
}

// LoadMigration reads the configuration of a migration, in any syntax that
// Load reads. The error is an [*Error].
func LoadMigration(path string) (*Migration, error) {
	d := decoder{&report{}}
	m := &Migration{}
	if source, ok := read(path, d.report); ok {
		parse := parseYAML
		if isHCL(filepath.Base(path), source) {
			parse = parseHCL
		}
		if tree, ok := parse(path, source, d.report); ok {
			top := entry{value: value{kind: object, body: tree}, at: Position{File: path}}
			d.stanza(top, reflect.ValueOf(m).Elem())
		}
	}
	for _, s := range []*Storage{m.Source, m.Destination} {
		if s != nil && s.Type == "inmem" {
			d.problem(s.At, `use "file", "postgresql" or "etcd"`, "storage \"inmem\" lives and dies with its server")
		}
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return m, nil
}
