package signin

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// gatewayScheme is how gateways of one root secret ask each other. What they send is of one
	// question and of this minute: whoever hears it can only repeat the question.
	gatewayScheme  = "Sluice-Gateway"
	purposeGateway = "signin gateway 1\n"
	// callLasts is how far clocks of gateways may be apart.
	callLasts = time.Minute
)

// Sign makes a request one of a gateway of this root secret. It is right for reading alone.
func (d *Desk) Sign(r *http.Request) {
	at := strconv.FormatInt(d.Now().Unix(), 10)
	r.Header.Set("Authorization", gatewayScheme+" "+at+"."+d.Sealer.Seal(question(at, r)))
}

// question is what is sealed: the path below a proxy's prefix, with its query.
func question(at string, r *http.Request) []byte {
	uri := r.URL.RequestURI()
	if i := strings.Index(uri, "/api/"); i > 0 {
		uri = uri[i:]
	}
	return []byte(purposeGateway + at + "\n" + r.Method + " " + uri)
}

// byGateway knows the other gateways of this root secret. They see what is of all tenants, and
// show each person what is theirs.
func (d *Desk) byGateway(credential string, r *http.Request) (*Who, error) {
	at, seal, _ := strings.Cut(credential, ".")
	unix, err := strconv.ParseInt(at, 10, 64)
	if err != nil || d.Now().Sub(time.Unix(unix, 0)).Abs() > callLasts || r.Method != http.MethodGet {
		return nil, ErrRefused
	}
	if ok, _ := d.Sealer.Sealed(question(at, r), seal); !ok {
		return nil, ErrRefused
	}
	return &Who{Name: "another gateway", All: true, Role: Viewer}, nil
}
