// Package endpoint shortens the description of API paths for the plugin SDK's
// framework, for the system paths and auth methods that the server is built
// with.
package endpoint

import (
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// Fields are the parameters of a path: name → what it may hold.
type Fields = map[string]*framework.FieldSchema

// Operations say what a path does: operation → handler.
type Operations map[logical.Operation]framework.OperationFunc

// New describes the paths that match pattern as a whole.
func New(pattern, synopsis string, fields Fields, ops Operations) *framework.Path {
	handlers := make(map[logical.Operation]framework.OperationHandler, len(ops))
	for op, handler := range ops {
		handlers[op] = &framework.PathOperation{Callback: handler}
	}
	return &framework.Path{Pattern: pattern + "$", HelpSynopsis: synopsis, Fields: fields, Operations: handlers}
}

// Update describes a path that is only written to.
func Update(pattern, synopsis string, fields Fields, handler framework.OperationFunc) *framework.Path {
	return New(pattern, synopsis, fields, Operations{logical.UpdateOperation: handler})
}

// Begun answers a request whose work goes on: status 202 with a warning that
// says so.
func Begun(req *logical.Request) (*logical.Response, error) {
	resp := &logical.Response{}
	resp.AddWarning("The work has begun; its outcome is in the server's log.")
	return logical.RespondWithStatusCode(resp, req, http.StatusAccepted)
}

// Text is a parameter that holds a string.
func Text(description string) *framework.FieldSchema {
	return &framework.FieldSchema{Type: framework.TypeString, Description: description}
}

// Flag is a parameter that is true or false.
func Flag(description string) *framework.FieldSchema {
	return &framework.FieldSchema{Type: framework.TypeBool, Description: description}
}

// RemoteAddr returns the address that sent a request, or nothing when it is
// not known.
func RemoteAddr(req *logical.Request) string {
	if req.Connection == nil {
		return ""
	}
	return req.Connection.RemoteAddr
}
