package templates

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/sprig/v3"
	"github.com/agext/levenshtein"
)

// The functions of text/template itself.
const builtinFunctions = `and call eq ge gt html index js le len lt ne not or print printf println slice urlquery`

// The functions that this package brings; see evaluation.functions. The last
// two are not for use in a text: instrument puts them there.
const ownFunctions = `env envOrDefault file loop mustEnv secret secrets ` + stepFunction + ` ` + enterFunction

// The functions of consul-template that are taken as they are, beside sprig's.
const libraryFunctions = `add base64Decode base64Encode base64URLDecode base64URLEncode byKey byMeta byPort byTag
	contains containsAll containsAny containsNone containsNotAll divide executeTemplate explode explodeMap
	hmacSHA256Hex in indent join maximum md5sum mergeMap mergeMapWithOverride minimum modulo multiply parseBool
	parseFloat parseInt parseJSON parseUint parseYAML regexMatch regexReplaceAll replaceAll scratch sha256Hex
	sockaddr spew_sdump spew_sprintf split splitToMap subtract timestamp toJSON toJSONPretty toLower toTOML toTitle
	toUnescapedJSON toUnescapedJSONPretty toUpper toYAML trim trimPrefix trimSpace trimSuffix`

// The functions of consul-template that are refused, by what there is to say.
const (
	consulFunctions = `caLeaf caRoots connect datacenters exportedServices key keyExists keyOrDefault ls node nodes
	partitions peerings safeLs safeTree service services tree`
	nomadFunctions = `nomadService nomadServices nomadVar nomadVarExists nomadVarList nomadVarListSafe`
)

// refusals returns why each refused function is, and what to do instead.
func refusals() map[string]string {
	out := map[string]string{
		"pkiCert":     `is not supported yet; use secret "pki/issue/ROLE" "common_name=NAME"`,
		"plugin":      "would run a program while the template is evaluated; run it as the template's command",
		"writeToFile": "would write a file while the template is evaluated; use one template per file",
		"spew_dump":   "would print secrets to the log; use spew_sdump, which returns its text",
		"spew_printf": "would print secrets to the log; use spew_sprintf, which returns its text",
	}
	for _, name := range strings.Fields(consulFunctions) {
		out[name] = "asks Consul, which this agent does not talk to; remove it, or keep this template with consul-template"
	}
	for _, name := range strings.Fields(nomadFunctions) {
		out[name] = "asks Nomad, which this agent does not talk to; remove it, or keep this template with consul-template"
	}
	return out
}

// checkFunction reports why a function may not be used, nil if it may, and
// whether it takes consul-template to evaluate it.
func checkFunction(name string, denylist []string) (needsLibrary bool, err error) {
	for _, pattern := range denylist {
		if denied, _ := path.Match(pattern, name); denied {
			return false, fmt.Errorf("the function %q is on the denylist as %q; remove it from the template or from the list", name, pattern)
		}
	}
	if contains(builtinFunctions, name) || contains(ownFunctions, name) {
		return false, nil
	}
	if contains(libraryFunctions, name) {
		return true, nil
	}
	if reason, refused := refusals()[name]; refused {
		return false, fmt.Errorf("the function %q %s", name, reason)
	}
	if bare, ok := strings.CutPrefix(name, "sprig_"); ok && sprig.HermeticTxtFuncMap()[bare] != nil {
		return true, nil
	}
	return false, fmt.Errorf("there is no function %q; %s", name, suggest(name))
}

func contains(names, name string) bool { return slices.Contains(strings.Fields(names), name) }

// suggest returns a hint: the function with the most similar name.
func suggest(name string) string {
	extra := sprig.HermeticTxtFuncMap()
	if extra[name] != nil {
		return fmt.Sprintf("did you mean %q?", "sprig_"+name)
	}
	candidates := strings.Fields(builtinFunctions + " " + ownFunctions + " " + libraryFunctions)
	for bare := range extra {
		candidates = append(candidates, "sprig_"+bare)
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
