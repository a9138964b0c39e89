package database

import (
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// refuse answers a request that cannot succeed as it stands: status 400.
func refuse(format string, args ...any) (*logical.Response, error) {
	return logical.ErrorResponse(fmt.Sprintf(format, args...)), nil
}

// fail answers with the status that the error's class deserves: 400 if asking
// again is in vain, 502 if the database is to blame, else 500. Clients decide by
// it whether to keep what they have and try later.
func fail(err error) (*logical.Response, error) {
	switch fault.ClassOf(err) {
	case fault.Refused, fault.NoUser:
		return refuse("%s", err)
	case fault.Later, fault.Left:
		return nil, logical.CodedError(http.StatusBadGateway, err.Error())
	default:
		return nil, err
	}
}

// answered answers a request that has nothing to tell but whether it succeeded.
func answered(err error) (*logical.Response, error) {
	if err != nil {
		return fail(err)
	}
	return nil, nil
}

// scrubbed returns err without the secrets, in the same class. Plugins that are
// not ours may repeat what they were given.
func scrubbed(err error, secrets ...string) error {
	text := fault.Scrub(err.Error(), secrets...)
	if text == err.Error() {
		return err
	}
	return fault.New(fault.ClassOf(err), "%s", text)
}
