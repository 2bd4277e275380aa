package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// ProcessSize says how many processes of a sort a tenant has, and how large each of them is.
type ProcessSize struct {
	// Replicas is how many run side by side. Where it is not given, one is started and a HorizontalPodAutoscaler may
	// change that; 0 runs none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`
	// Resources is how large each of them is.
	// +optional
	Resources *ProcessResources `json:"resources,omitempty"`
}

// ProcessResources say what a process is given and what it may take.
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || quantity(string(self.requests.cpu)).compareTo(quantity(string(self.limits.cpu))) <= 0",message="requests.cpu is more than limits.cpu: raise the limit or lower the request"
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0",message="requests.memory is more than limits.memory: raise the limit or lower the request"
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !has(self.limits.memory) || quantity(string(self.limits.memory)).compareTo(quantity('64Mi')) >= 0",message="limits.memory is less than a process needs to begin: give it at least 64Mi"
type ProcessResources struct {
	// Requests are set aside for the process. Default: cpu 50m, memory 64Mi.
	// +optional
	Requests *ResourceAmounts `json:"requests,omitempty"`
	// Limits are what the process may take at most. Default: memory 256Mi, or what is requested where that is more; no
	// limit of cpu.
	// +optional
	Limits *ResourceAmounts `json:"limits,omitempty"`
}

// ResourceAmounts are amounts of what a node has.
type ResourceAmounts struct {
	// CPU in cores, such as 500m or 2.
	// +optional
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0",message="must be an amount of cpu that is not negative, such as 500m or 2"
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// Memory in bytes, such as 256Mi or 1Gi.
	// +optional
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0",message="must be an amount of memory that is not negative, such as 256Mi or 1Gi"
	Memory *resource.Quantity `json:"memory,omitempty"`
}

// ProcessCount tells how many processes of a sort there are.
type ProcessCount struct {
	// Desired is how many there should be.
	Desired int32 `json:"desired"`
	// Ready is how many do their work.
	Ready int32 `json:"ready"`
}

// The sizes of a process whose author gives none.
var (
	defaultCPURequest    = resource.MustParse("50m")
	defaultMemoryRequest = resource.MustParse("64Mi")
	defaultMemoryLimit   = resource.MustParse("256Mi")
)

// CPURequestOrDefault is the cpu that is set aside. It is never more than the limit.
func (s *ProcessSize) CPURequestOrDefault() resource.Quantity {
	if requests := s.requests(); requests.CPU != nil {
		return *requests.CPU
	}
	if limit := s.CPULimit(); limit != nil && limit.Cmp(defaultCPURequest) < 0 {
		return *limit
	}
	return defaultCPURequest
}

// MemoryRequestOrDefault is the memory that is set aside. It is never more than the limit.
func (s *ProcessSize) MemoryRequestOrDefault() resource.Quantity {
	if requests := s.requests(); requests.Memory != nil {
		return *requests.Memory
	}
	return defaultMemoryRequest // a limit is never less
}

// CPULimit is the cpu that may be taken; nil is no limit.
func (s *ProcessSize) CPULimit() *resource.Quantity { return s.limits().CPU }

// MemoryLimitOrDefault is the memory that may be taken.
func (s *ProcessSize) MemoryLimitOrDefault() resource.Quantity {
	if limits := s.limits(); limits.Memory != nil {
		return *limits.Memory
	}
	if requests := s.requests(); requests.Memory != nil && requests.Memory.Cmp(defaultMemoryLimit) > 0 {
		return *requests.Memory
	}
	return defaultMemoryLimit
}

func (s *ProcessSize) requests() ResourceAmounts {
	if s == nil || s.Resources == nil || s.Resources.Requests == nil {
		return ResourceAmounts{}
	}
	return *s.Resources.Requests
}

func (s *ProcessSize) limits() ResourceAmounts {
	if s == nil || s.Resources == nil || s.Resources.Limits == nil {
		return ResourceAmounts{}
	}
	return *s.Resources.Limits
}

// ReplicasOrUnset is how many its author wants; nil leaves it to the cluster, which begins with one.
func (s *ProcessSize) ReplicasOrUnset() *int32 {
	if s == nil {
		return nil
	}
	return s.Replicas
}
