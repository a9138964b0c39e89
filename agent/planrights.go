package agent

import (
	"context"
	"net/http"
	"slices"

	"github.com/novatech/securevault/internal/vault"
)

// rights is what a token may do: path → capabilities. A path that the server
// does not speak of is missing.
type rights map[string][]string

// What the agent asks of the server beside its secrets.
const (
	renewPath  = "sys/leases/renew"
	revokePath = "sys/leases/revoke"
)

// needs returns the capabilities of which one is enough for a want.
func needs(w vault.Want) []string {
	switch w.Method {
	case http.MethodGet:
		return []string{"read"}
	case vault.MethodList:
		return []string{"list"}
	default:
		return []string{"update", "create"}
	}
}

// allows reports whether capabilities have one of those that are needed.
func allows(may []string, needed ...string) bool {
	return slices.ContainsFunc(may, func(c string) bool { return c == "root" || slices.Contains(needed, c) })
}

// rights asks what the token may do at all paths that the plan touches, in one
// request. A server that refuses to say leaves them unknown.
func (p *planner) rights(ctx context.Context, wants []vault.Want) (rights, error) {
	if p.client == nil || len(wants) == 0 {
		return nil, nil
	}
	paths := []string{renewPath, revokePath}
	for _, w := range wants {
		e, err := p.engine(ctx, w)
		if err != nil {
			return nil, err
		}
		paths = append(paths, e.request(w))
		if rules := e.rules(w); rules != "" {
			paths = append(paths, rules)
		}
	}
	slices.Sort(paths)
	answer, err := p.client.Write(ctx, p.token.Value, "sys/capabilities-self", map[string]any{"paths": slices.Compact(paths)})
	if err != nil || answer == nil {
		return nil, p.unanswered(err)
	}
	r := make(rights, len(paths))
	for _, path := range paths {
		if names, ok := answer.Data[path].([]any); ok {
			r[path] = words(names)
		}
	}
	return r, nil
}

// words returns the texts of a list.
func words(list []any) []string {
	out := make([]string, 0, len(list))
	for _, one := range list {
		if text, ok := one.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// notes returns what follows from rights that are missing but not needed to
// render anything.
func (r rights) notes() []string {
	var notes []string
	if may, known := r[renewPath]; known && !allows(may, "update") {
		notes = append(notes, "the token may not update "+renewPath+": leases are replaced before they end, and never renewed")
	}
	if may, known := r[revokePath]; known && !allows(may, "update") {
		notes = append(notes, "the token may not update "+revokePath+": what is replaced lives until its TTL")
	}
	return notes
}
