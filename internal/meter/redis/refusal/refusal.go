// Package refusal says in the user's terms why a Redis server did not do what it was asked, and the way out.
package refusal

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
)

// Error is what a server refused, or that it could not be asked.
type Error struct {
	What   string // what the server does, as "wants a password"; "" when nothing more is known than Err
	WayOut string
	Err    error
}

// Error is what happened, with the server's or the system's own words behind it.
func (e *Error) Error() string {
	if e.What == "" {
		return "redis: " + e.Err.Error()
	}
	return "redis " + e.What + ": " + e.Err.Error()
}

// Unwrap returns the client's error.
func (e *Error) Unwrap() error { return e.Err }

const (
	login = "put both into ledger.redis, as redis://USER:PASSWORD@HOST:6379/0, with signs such as @ and / in them as " +
		"%40 and %2F"
	reach = "see that Redis runs, that ledger.redis names it, and that this machine reaches it"
	crypt = reach + "; rediss:// is for a server with TLS, redis:// for one without"
)

// answers are refusals by how they begin, without ERR.
var answers = []struct{ prefix, what, wayOut string }{
	{"WRONGPASS", "refuses the user or the password of ledger.redis", login},
	{"NOAUTH", "wants a password and ledger.redis has none", login},
	{"NOPERM", "denies a command to the user of ledger.redis", "let that user run it, on keys that begin with sl:"},
	{"DB index", "has no database of that number", "let ledger.redis end in /0, or raise databases of Redis"},
	{"READONLY", "is a replica, which takes no writes",
		"name the primary in ledger.redis, or sentinels: redis-sentinel://HOST:26379/NAME"},
	{"LOADING", "is still reading its data", "wait until it has"},
	{"MISCONF", "cannot save its snapshots and takes no writes", "free or repair the disk of Redis"},
	{"OOM", "has no memory left", "raise maxmemory of Redis"},
	{"max number of clients", "takes no more connections", "raise maxclients of Redis"},
	{"CLUSTERDOWN", "is a cluster of which parts are down", "see what CLUSTER INFO says at its nodes"},
	{"MASTERDOWN", "is a replica that has lost its primary", "name the primary in ledger.redis, and see that it runs"},
}

// Of explains an error of the client. Nil stays nil, and what is explained stays as it is.
func Of(err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	for _, a := range answers {
		if goredis.HasErrorPrefix(err, a.prefix) {
			return &Error{a.what, a.wayOut, err}
		}
	}
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &certificate):
		return &Error{"has a certificate that is not trusted here",
			"add ?ca_file=FILE to ledger.redis, with the authority of its certificate", err}
	case errors.As(err, &header):
		return &Error{"does not speak TLS", "write redis:// in place of rediss://", err}
	case errors.As(err, &name):
		return &Error{"cannot be found by its name", reach, err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{"is not there", reach, err}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return &Error{"closes the connection", crypt, err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{"does not answer in time", crypt, err}
	}
	return &Error{"", reach, err}
}
