-- Health of an Application, so that a parent Application can wait for its children in sync waves: Argo CD has none of its
-- own. Suspended passes, because a paused campaign must not keep the next wave waiting.

local status = obj.status or {}
if status.health == nil or status.health.status == nil then
  return {status = "Progressing", message = "Not looked at yet."}
end
if status.health.status == "Suspended" then
  return {status = "Healthy", message = "Something in it is suspended."}
end
return {status = status.health.status, message = status.health.message or ""}
