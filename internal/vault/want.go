package vault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// MethodList is the method of a list, which HTTP does not know.
const MethodList = "LIST"

// Want names one request to the server. It is comparable: equal wants share
// one lease, whatever the number of templates that ask for them.
type Want struct {
	Method    string // http.MethodGet for a read, http.MethodPut for a write, MethodList or MethodSign
	Path      string // "database/creds/app": no leading slash, no "v1/"
	Params    string // canonical JSON object of the parameters, "" without any
	Namespace string // "" for the client's own
}

// ReadWant is a read of path. Parameters become the query string.
func ReadWant(path string, params map[string]any) (Want, error) {
	return newWant(http.MethodGet, path, params)
}

// WriteWant is a write to path. Parameters become the JSON body.
func WriteWant(path string, params map[string]any) (Want, error) {
	return newWant(http.MethodPut, path, params)
}

// ListWant is a list of the keys below path.
func ListWant(path string) (Want, error) {
	return newWant(MethodList, path, nil)
}

func newWant(method, path string, params map[string]any) (Want, error) {
	w := Want{Method: method, Path: strings.TrimPrefix(strings.Trim(strings.TrimSpace(path), "/ "), "v1/")}
	if w.Path == "" {
		return Want{}, fmt.Errorf("reading a secret path: it is empty; give a path such as %q", "database/creds/app")
	}
	if len(params) == 0 {
		return w, nil
	}
	// encoding/json sorts map keys: equal parameters give equal text.
	text, err := json.Marshal(params)
	if err != nil {
		return Want{}, fmt.Errorf("encoding the parameters of %q: %w", w.Path, err)
	}
	w.Params = string(text)
	return w, nil
}

// String names the want in logs and errors. Parameters may be secret (a
// write's body) and are left out.
func (w Want) String() string {
	name := w.Path
	if w.Namespace != "" {
		name = strings.Trim(w.Namespace, "/") + "/" + name
	}
	switch w.Method {
	case http.MethodPut:
		return "write " + name
	case MethodList:
		return "list " + name
	case MethodSign:
		return "sign " + name
	default:
		return name
	}
}

// query returns the parameters as query values, for a read or a list.
func (w Want) query() (map[string][]string, error) {
	if w.Method == MethodList {
		return map[string][]string{"list": {"true"}}, nil
	}
	if w.Params == "" {
		return nil, nil
	}
	var params map[string]any
	if err := json.Unmarshal([]byte(w.Params), &params); err != nil {
		return nil, fmt.Errorf("decoding the parameters of %q: %w", w.Path, err)
	}
	values := make(map[string][]string, len(params))
	for key, value := range params {
		values[key] = []string{fmt.Sprint(value)}
	}
	return values, nil
}
