package store

import (
	"context"
	"strings"
)

const (
	firstPage = 256  // keys
	lastPage  = 4096 // keys
)

// ListPages implements List for a store that can return sorted keys from a
// given one on: page returns at most limit of them. A folder costs one page,
// whatever it holds.
func ListPages(ctx context.Context, prefix string, page func(ctx context.Context, from string, limit int) ([]string, error)) ([]string, error) {
	l := lister{prefix: prefix}
	from := prefix
	for limit := firstPage; ; limit = min(2*limit, lastPage) {
		keys, err := page(ctx, from, limit)
		if err != nil {
			return nil, err
		}
		if more := l.add(keys); !more || len(keys) < limit {
			return l.names, nil
		}
		from = l.last
		if l.folder != "" && strings.HasPrefix(from, l.folder) {
			from = strings.TrimSuffix(l.folder, "/") + "0" // the first key that is not in this folder
		}
	}
}

// lister gathers the names one level below prefix from sorted keys.
type lister struct {
	prefix string
	folder string // the last one found, as a key with its slash
	last   string // key
	names  []string
}

// add returns false when the keys have left the prefix.
func (l *lister) add(keys []string) bool {
	for _, key := range keys {
		rest, below := strings.CutPrefix(key, l.prefix)
		if !below {
			return false
		}
		seen := len(l.names) > 0 && (key == l.last || l.folder != "" && strings.HasPrefix(key, l.folder))
		l.last = key
		if seen {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if deeper {
			name += "/"
			l.folder = l.prefix + name
		}
		l.names = append(l.names, name)
	}
	return true
}
