package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/templates"
)

// forecast is what an agent would do with a configuration, and the JSON of
// `securevault agent plan`. No field of it may ever hold a secret value.
type forecast struct {
	Server  string           `json:"server"`          // address; "" when it was not asked
	Asked   bool             `json:"asked"`           // the server was asked; else only the configuration speaks
	Token   *foreseenToken   `json:"token,omitempty"` // nil when the server was not asked
	Secrets []foreseenSecret `json:"secrets"`
	Outputs []foreseenOutput `json:"outputs"`
	Child   *foreseenChild   `json:"exec,omitempty"`
	Notes   []string         `json:"notes"` // what works, but not as one might think
}

// foreseenToken is the token that the plan was made with.
type foreseenToken struct {
	Origin   string   `json:"origin"` // how it was come by, in words
	Policies []string `json:"policies"`
	foreseenLife
}

// foreseenSecret is a secret that the agent would hold.
type foreseenSecret struct {
	Path    string   `json:"path"`             // as in a template; with the method, unless that is a read
	Request string   `json:"request"`          // path that policies know it by
	Engine  string   `json:"engine,omitempty"` // type of the engine; "" when the server does not say
	Needs   []string `json:"needs"`            // capabilities of which one is enough
	May     []string `json:"may,omitempty"`    // what the token may; nil when the server does not say
	Missing bool     `json:"missing"`          // the server will refuse it
	Adopted bool     `json:"adopted"`          // the state holds it: no new one is requested
	foreseenLife
	Dependents []string `json:"dependents"` // destinations that use it
}

// planner finds out what an agent would do without having it done: of the
// server it reads what has no lease, and asks what the token may and for how
// long an answer would live.
type planner struct {
	drafts []*draft
	client *vault.Client // nil to ask nothing
	token  vault.Token
	now    time.Time
	held   map[vault.Want]bool // that the state holds

	engines []engine                     // that were asked about
	answers map[vault.Want]engine        // want → who answers it; zero when the server does not say
	static  map[vault.Want]*vault.Secret // what was read; nil for what cannot be had
}

// draft is an output as far as it can be evaluated.
type draft struct {
	*output
	result templates.Result
	err    error
	whole  bool // there is nothing to discover behind a secret
}

func newPlanner(outputs []*output, now time.Time) *planner {
	p := &planner{now: now, answers: make(map[vault.Want]engine), static: make(map[vault.Want]*vault.Secret)}
	for _, o := range outputs {
		parts := partsOf(o.template)
		whole := len(parts) > 0 && !slices.ContainsFunc(parts, func(t *templates.Template) bool { return !t.Foreseen() })
		p.drafts = append(p.drafts, &draft{output: o, whole: whole})
	}
	return p
}

// partsOf returns the templates that make an output.
func partsOf(r renderer) []*templates.Template {
	var parts []variable
	switch r := r.(type) {
	case *templates.Template:
		return []*templates.Template{r}
	case environment:
		parts = r.variables
	case *folder:
		parts = r.members
	}
	var all []*templates.Template
	for _, part := range parts {
		all = append(all, part.template)
	}
	return all
}

// forecast plans. The error is one of a server that does not answer.
func (p *planner) forecast(ctx context.Context) (forecast, error) {
	if err := p.discover(ctx); err != nil {
		return forecast{}, err
	}
	f := forecast{Asked: p.client != nil, Notes: []string{}, Outputs: []foreseenOutput{}, Secrets: []foreseenSecret{}}
	wanted, dependents := p.wanted()
	wants := slices.SortedFunc(maps.Keys(wanted), func(a, b vault.Want) int {
		return strings.Compare(a.String()+" "+a.Params, b.String()+" "+b.Params)
	})
	rights, err := p.rights(ctx, wants)
	if err != nil {
		return forecast{}, err
	}
	leased := false
	for _, w := range wants {
		s, err := p.secret(ctx, w, wanted[w], rights)
		if err != nil {
			return forecast{}, err
		}
		s.Dependents = dependents[w]
		leased = leased || s.Kind == lifeLease
		f.Secrets = append(f.Secrets, s)
	}
	if leased {
		f.Notes = append(f.Notes, rights.notes()...)
	}
	for _, d := range p.drafts {
		f.Outputs = append(f.Outputs, d.foresee())
	}
	return f, nil
}

// discover evaluates every output, with what may be read without a lease,
// until that brings up nothing new.
func (p *planner) discover(ctx context.Context) error {
	for range maxPasses {
		var unread []vault.Want
		for _, d := range p.drafts {
			d.result, d.err = d.template.Render(p.lookup)
			if d.whole {
				continue // reading would tell nothing
			}
			for _, w := range d.result.Pending {
				if _, tried := p.static[w]; !tried {
					unread = append(unread, w)
				}
			}
		}
		if len(unread) == 0 || p.client == nil {
			return nil
		}
		for _, w := range unique(unread) {
			if err := p.read(ctx, w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *planner) lookup(w vault.Want) (*vault.Secret, bool) {
	secret := p.static[w]
	return secret, secret != nil
}

// read reads a secret if nothing is issued by that. What the server refuses is
// left out: its capabilities tell why.
func (p *planner) read(ctx context.Context, w vault.Want) error {
	p.static[w] = nil
	e, err := p.engine(ctx, w)
	if err != nil || e.kind != "kv" || w.Method != http.MethodGet && w.Method != vault.MethodList {
		return err
	}
	p.static[w], err = p.client.Fetch(ctx, p.token, w)
	return p.unanswered(err)
}

// unanswered returns an error of a server that may answer later, and nil for
// one that has answered no.
func (*planner) unanswered(err error) error {
	if vault.Classify(err) == vault.Later {
		return failure{ExitServer, err}
	}
	return nil
}

// wanted returns everything that is wanted and how it would be kept, with the
// destinations that use it.
func (p *planner) wanted() (wantSet, map[vault.Want][]string) {
	wanted, dependents := make(wantSet), make(map[vault.Want][]string)
	for _, d := range p.drafts {
		for _, w := range d.result.Wants {
			wanted.add(w, d.policy)
			dependents[w] = append(dependents[w], d.place.Path())
		}
	}
	return wanted, dependents
}

// secret foresees what becomes of a want.
func (p *planner) secret(ctx context.Context, w vault.Want, policy schedule.Policy, r rights) (foreseenSecret, error) {
	e, err := p.engine(ctx, w)
	if err != nil {
		return foreseenSecret{}, err
	}
	s := foreseenSecret{Path: w.String(), Request: e.request(w), Engine: e.kind, Needs: needs(w), Adopted: p.held[w]}
	s.May = r[s.Request]
	s.Missing = s.May != nil && !allows(s.May, s.Needs...)
	var terms terms
	if rules := e.rules(w); rules != "" && allows(r[rules], "read") {
		if terms, err = p.terms(ctx, rules); err != nil {
			return foreseenSecret{}, err
		}
	}
	s.foreseenLife = e.life(w, terms, policy, p.now)
	return s, nil
}

// verdict returns what would keep the agent from doing all of it, each error
// with the exit code of its class.
func (f forecast) verdict() error {
	var errs []error
	for _, o := range f.Outputs {
		if o.Error != "" {
			errs = append(errs, failure{ExitTemplate, errors.New(o.Error)})
		}
	}
	for _, s := range f.Secrets {
		if s.Missing {
			errs = append(errs, failure{ExitSecret, fmt.Errorf("the token may not %s %q; add to one of its policies: path %q { capabilities = [%q] }",
				s.Needs[0], s.Request, s.Request, s.Needs[0])})
		}
	}
	for _, o := range f.Outputs {
		if o.Unwritable != "" {
			errs = append(errs, failure{ExitSink, errors.New(o.Unwritable)})
		}
	}
	return errors.Join(errs...)
}
