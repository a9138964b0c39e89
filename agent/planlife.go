package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
)

// The kinds of life that a secret may have.
const (
	lifeUnknown  = "unknown"
	lifeStatic   = "static"   // it does not end, and is read again
	lifeLease    = "lease"    // it is renewed, and replaced in the end
	lifeExpiry   = "expiry"   // it ends by itself, and is replaced before
	lifeRotation = "rotation" // the server replaces it
)

// foreseenLife is how long something would live, and what would be done to it.
type foreseenLife struct {
	Kind   string         `json:"kind"`             // one of unknown, static, lease, expiry and rotation
	TTL    int64          `json:"ttl"`              // seconds; 0 for none, or one that only the server knows
	MaxTTL int64          `json:"max_ttl"`          // seconds, renewals included; likewise
	Source string         `json:"source,omitempty"` // who says so: the request, the role, the mount or the token
	Next   []foreseenStep `json:"next"`             // in order of time
}

// foreseenStep is something that would be done, jitter left out.
type foreseenStep struct {
	Action string `json:"action"` // renew, rotate or reread
	After  int64  `json:"after"`  // seconds from the issue on
}

// engine is who answers below a mount. The zero engine is one of which the
// server does not speak to this token.
type engine struct {
	path            string // of the mount, with a slash at its end
	kind            string // "database"
	versioned       bool   // it keeps versions of what is written: key-value of version 2
	ttl, maximalTTL time.Duration
}

// engine returns who answers a want; a mount is asked about once.
func (p *planner) engine(ctx context.Context, w vault.Want) (engine, error) {
	if known, ok := p.answers[w]; ok || p.client == nil {
		return known, nil
	}
	for _, e := range p.engines {
		if strings.HasPrefix(w.Path+"/", e.path) {
			p.answers[w] = e
			return e, nil
		}
	}
	about, err := p.ask(ctx, "sys/internal/ui/mounts/"+w.Path)
	if about == nil {
		return engine{}, err
	}
	e := newEngine(w, about)
	if p.answers[w] = e; e.path != "" {
		p.engines = append(p.engines, e)
	}
	return e, nil
}

// ask returns the data of an answer of the server, nil for a refusal.
func (p *planner) ask(ctx context.Context, path string) (map[string]any, error) {
	w, err := vault.ReadWant(path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := p.client.Fetch(ctx, p.token, w)
	if err != nil {
		return nil, p.unanswered(err)
	}
	return answer.Data, nil
}

func newEngine(w vault.Want, about map[string]any) engine {
	var e engine
	e.path, _ = about["path"].(string)
	// It may begin with namespaces that the want does not name.
	for !strings.HasPrefix(w.Path+"/", e.path) {
		_, e.path, _ = strings.Cut(e.path, "/")
	}
	e.kind, _ = about["type"].(string)
	options, _ := about["options"].(map[string]any)
	e.versioned = e.kind == "kv" && options["version"] == "2"
	settings, _ := about["config"].(map[string]any)
	e.ttl, e.maximalTTL = length(settings["default_lease_ttl"]), length(settings["max_lease_ttl"])
	return e
}

// request returns the path of a want as policies know it.
func (e engine) request(w vault.Want) string {
	path, list := w.Path, w.Method == vault.MethodList
	if rest := strings.TrimPrefix(path+"/", e.path); e.versioned && !strings.HasPrefix(rest, "data/") && !strings.HasPrefix(rest, "metadata/") {
		section := "data/"
		if list {
			section = "metadata/"
		}
		path = strings.TrimSuffix(e.path+section+rest, "/")
	}
	if list {
		path += "/"
	}
	return path
}

// rules returns the path of the role that decides how long the answer to a
// want lives, "" where none is known to.
func (e engine) rules(w vault.Want) string {
	verb, rest, _ := strings.Cut(strings.TrimPrefix(w.Path, e.path), "/")
	name, _, _ := strings.Cut(rest, "/")
	folder := map[string]string{
		"creds": "roles/", "sts": "roles/", "issue": "roles/", "sign": "roles/",
		"static-creds": "static-roles/", "static-cred": "static-role/",
	}[verb]
	if verb == "creds" && (e.kind == "ldap" || e.kind == "openldap" || e.kind == "nomad") {
		folder = "role/"
	}
	if e.path == "" || folder == "" || name == "" {
		return ""
	}
	return e.path + folder + name
}

// terms are the lifetimes that a role grants; 0 leaves one to the mount.
type terms struct{ ttl, maximum, period time.Duration }

// terms asks for those of a role.
func (p *planner) terms(ctx context.Context, path string) (terms, error) {
	role, err := p.ask(ctx, path)
	if role == nil {
		return terms{}, err
	}
	return terms{
		ttl:     cmp.Or(length(role["default_ttl"]), length(role["ttl"]), length(role["default_sts_ttl"])),
		maximum: cmp.Or(length(role["max_ttl"]), length(role["max_sts_ttl"])),
		period:  length(role["rotation_period"]),
	}, nil
}

// length reads a number of seconds, or a text such as "1h"; anything else is 0.
func length(value any) time.Duration {
	switch v := value.(type) {
	case json.Number:
		value = v.String()
	case float64:
		return time.Duration(v) * time.Second
	}
	text, _ := value.(string)
	d, err := config.ParseDuration(text)
	if err != nil {
		return 0
	}
	return time.Duration(d)
}

// life foresees how long the answer to a want lives, and what is done to it.
func (e engine) life(w vault.Want, t terms, policy schedule.Policy, now time.Time) foreseenLife {
	static := []string{"kv", "generic", "cubbyhole", "system", "identity", "token", "transit"}
	switch {
	case e.kind == "":
		return foreseenLife{Kind: lifeUnknown, Next: []foreseenStep{}}
	case slices.Contains(static, e.kind), w.Method == vault.MethodList:
		return lifeOf(lifeStatic, 0, 0, "", policy, now)
	case t.period > 0:
		return lifeOf(lifeRotation, t.period, 0, "role", policy, now)
	}
	kind := lifeLease
	if e.kind == "pki" && w.Method != http.MethodGet {
		kind = lifeExpiry
	}
	var asked struct {
		TTL string `json:"ttl"`
	}
	_ = json.Unmarshal([]byte(w.Params), &asked) // without parameters there is nothing to read
	ttl, source := length(asked.TTL), "request"
	if ttl == 0 {
		ttl, source = t.ttl, "role"
	}
	if ttl == 0 {
		ttl, source = e.ttl, "mount"
	}
	return lifeOf(kind, ttl, least(t.maximum, e.maximalTTL), source, policy, now)
}

// least returns the smaller limit, of which 0 is none.
func least(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// lifeOf runs the schedule ahead: to the first renewal, if there is one, and
// to the end.
func lifeOf(kind string, ttl, maximum time.Duration, source string, policy schedule.Policy, now time.Time) foreseenLife {
	if maximum > 0 {
		ttl = min(ttl, maximum)
	}
	life := foreseenLife{Kind: kind, TTL: whole(ttl), MaxTTL: whole(maximum), Source: source, Next: []foreseenStep{}}
	if kind != lifeStatic && ttl == 0 {
		life.Source = ""
		return life // only the server knows
	}
	policy.Jitter = -1
	facts := schedule.Facts{
		Held: true, Granted: now, TTL: ttl, Full: ttl,
		Leased: kind == lifeLease, Renewable: kind == lifeLease, Expires: kind == lifeExpiry, Rotates: kind == lifeRotation,
	}
	action, at := policy.Next(facts)
	if action != schedule.None {
		life.Next = append(life.Next, foreseenStep{action.String(), whole(at.Sub(now))})
	}
	if action == schedule.Renew && maximum > 0 {
		end := replacement(policy, facts, now.Add(maximum))
		life.Next = append(life.Next, foreseenStep{schedule.Rotate.String(), whole(end.Sub(now))})
	}
	return life
}

// replacement returns when a lease is replaced that renewals bring to end at
// most.
func replacement(policy schedule.Policy, f schedule.Facts, end time.Time) time.Time {
	for {
		action, at := policy.Next(f)
		if action != schedule.Renew {
			return at
		}
		step := at.Sub(f.Granted)
		if alike := end.Sub(at.Add(f.Full)) / step; alike > 0 {
			at = at.Add(alike * step) // renewals that give all that they ask for
		}
		f.Granted, f.TTL = at, min(f.Full, end.Sub(at))
	}
}

// whole returns a length of time in seconds.
func whole(d time.Duration) int64 { return int64(d.Round(time.Second) / time.Second) }
