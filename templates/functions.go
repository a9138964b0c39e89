package templates

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/agext/levenshtein"
)

// The functions of text/template that are its own affair. Those that print are
// in printing.
const builtinFunctions = `and call eq ge gt index le len lt ne not or slice`

// The functions that belong to one evaluation; see evaluation.functions. The
// last two are not for use in a text: instrument puts them there.
const ownFunctions = `env envOrDefault executeTemplate file loop mustEnv pkiCert scratch secret secrets writeToFile ` +
	stepFunction + ` ` + enterFunction

// The functions of consul-template that are refused, by what there is to say.
const (
	consulFunctions = `caLeaf caRoots connect datacenters exportedServices key keyExists keyOrDefault ls node nodes
	partitions peerings safeLs safeTree service services tree`
	groupingFunctions = `byKey byMeta byPort byTag explode`
	nomadFunctions    = `nomadService nomadServices nomadVar nomadVarExists nomadVarList nomadVarListSafe`
)

// sprigPrefix is what consul-template puts before the names of sprig's.
const sprigPrefix = "sprig_"

// refusals returns why each refused function is, and what to do instead.
func refusals() map[string]string {
	out := map[string]string{
		"plugin":      "would run a program while the template is evaluated; run it as the template's command",
		"spew_dump":   "would print secrets to the log; use spew_sdump, which returns its text",
		"spew_printf": "would print secrets to the log; use spew_sprintf, which returns its text",
	}
	for names, reason := range map[string]string{
		consulFunctions:   "asks Consul, which this agent does not talk to; remove it, or keep this template with consul-template",
		groupingFunctions: "groups what Consul answers, which this agent does not talk to; remove it, or keep this template with consul-template",
		nomadFunctions:    "asks Nomad, which this agent does not talk to; remove it, or keep this template with consul-template",
	} {
		for name := range strings.FieldsSeq(names) {
			out[name] = reason
		}
	}
	return out
}

// printing returns the functions of text/template that return text.
func printing() template.FuncMap {
	return template.FuncMap{
		"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
		"print": fmt.Sprint, "printf": fmt.Sprintf, "println": fmt.Sprintln,
	}
}

// findFunction returns the function of a name, nil for one that text/template
// or the evaluation brings. The error says why it may not be used.
func findFunction(name string, denylist []string) (any, error) {
	for _, pattern := range denylist {
		if denied, _ := path.Match(pattern, name); denied {
			return nil, fmt.Errorf("the function %q is on the denylist as %q; remove it from the template or from the list", name, pattern)
		}
	}
	if listed(builtinFunctions, name) || listed(ownFunctions, name) {
		return nil, nil
	}
	found := library()[name]
	if found == nil {
		found = printing()[name]
	}
	if bare, ok := strings.CutPrefix(name, sprigPrefix); ok && found == nil {
		found = sprigFunctions()[bare]
	}
	if found != nil {
		return bounded(found), nil
	}
	if reason, refused := refusals()[name]; refused {
		return nil, fmt.Errorf("the function %q %s", name, reason)
	}
	return nil, fmt.Errorf("there is no function %q; %s", name, suggest(name))
}

func listed(names, name string) bool {
	for listed := range strings.FieldsSeq(names) {
		if listed == name {
			return true
		}
	}
	return false
}

// suggest returns a hint: the function with the most similar name.
func suggest(name string) string {
	extra := sprig.HermeticTxtFuncMap()
	if extra[name] != nil {
		return fmt.Sprintf("did you mean %q?", sprigPrefix+name)
	}
	candidates := strings.Fields(builtinFunctions + " " + ownFunctions)
	candidates = slices.AppendSeq(candidates, maps.Keys(library()))
	candidates = slices.AppendSeq(candidates, maps.Keys(printing()))
	for bare := range extra {
		candidates = append(candidates, sprigPrefix+bare)
	}
	slices.Sort(candidates)
	best := slices.MinFunc(candidates, func(a, b string) int {
		return levenshtein.Distance(name, a, nil) - levenshtein.Distance(name, b, nil)
	})
	if levenshtein.Distance(name, best, nil) > farthestName {
		return "check its name"
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// farthestName is how many letters a suggested name may differ in.
const farthestName = 3
