package store

import (
	"context"
	"strings"
)

// Walk calls visit for every key of s below prefix, folder by folder.
func Walk(ctx context.Context, s Store, prefix string, visit func(key string) error) error {
	names, err := s.List(ctx, prefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.HasSuffix(name, "/") {
			err = Walk(ctx, s, prefix+name, visit)
		} else {
			err = visit(prefix + name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
