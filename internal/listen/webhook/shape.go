package webhook

// The shape of what is posted, as docs/networks/webhook.md tells it. Fields that are not here are let pass: a sender may be newer than we.

// post is something that somebody wrote or said.
type post struct {
	ID         string      `json:"id"`
	Kind       string      `json:"kind"`
	URL        string      `json:"url"`
	Title      string      `json:"title"`
	Text       string      `json:"text"`
	HTML       string      `json:"html"`
	Language   string      `json:"language"`
	Visibility string      `json:"visibility"`
	CreatedAt  string      `json:"createdAt"`
	EditedAt   string      `json:"editedAt"`
	Revision   string      `json:"revision"`
	Author     *account    `json:"author"`
	Thread     string      `json:"thread"`
	Parent     string      `json:"parent"`
	Subject    string      `json:"subject"`
	Tags       []string    `json:"tags"`
	Mentions   []account   `json:"mentions"`
	Links      []string    `json:"links"`
	Media      []medium    `json:"media"`
	Engagement *engagement `json:"engagement"`
	Rating     *rating     `json:"rating"`
}

// account is who wrote it, or who is named in it.
type account struct {
	ID        string `json:"id"`
	Handle    string `json:"handle"`
	Name      string `json:"name"`
	URL       string `json:"url"`
	Email     string `json:"email"`
	Phone     string `json:"phone"`
	Followers *int64 `json:"followers"`
	CreatedAt string `json:"createdAt"`
	Bot       bool   `json:"bot"`
}

type medium struct {
	Type        string `json:"type"`
	URL         string `json:"url"`
	Description string `json:"description"`
}

type engagement struct {
	Likes   int64 `json:"likes"`
	Reposts int64 `json:"reposts"`
	Replies int64 `json:"replies"`
	Views   int64 `json:"views"`
}

type rating struct {
	Value *float64 `json:"value"`
	Best  *float64 `json:"best"`
}

// deletion is a post, or all of an author's.
type deletion struct {
	ID     string `json:"id"`
	Author string `json:"author"`
}
