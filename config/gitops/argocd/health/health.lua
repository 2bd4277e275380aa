-- Health of every kind of crm.tertulia.dev, as Argo CD means it:
--   Progressing  the operator, a worker or something that is still to come works towards what the manifest says
--   Healthy      in force, and nothing is wrong
--   Suspended    in force, and at rest because somebody said so; it goes on when somebody says so
--   Degraded     only an edit mends it, or delivery is in trouble, or a person must decide

local function answer(status, message)
  return {status = status, message = message}
end

-- What a condition says, with its reason before it, by which documents and alerts can be found.
local function told(condition)
  if condition.message == nil or condition.message == "" then
    return condition.reason
  end
  return condition.reason .. ": " .. condition.message
end

local status = obj.status or {}
local generation = obj.metadata.generation
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(kind, value)
  return conditions[kind] ~= nil and conditions[kind].status == value
end

local ready = conditions["Ready"]

-- A verdict about an older version of the manifest says nothing about this one.
if status.observedGeneration ~= generation then
  if is("Ready", "False") and ready.observedGeneration == generation then
    return answer("Progressing", told(ready))
  end
  return answer("Progressing", "The operator has not looked at this version yet.")
end
if is("Reconciling", "True") then
  return answer("Progressing", told(conditions["Reconciling"]))
end
if is("Stalled", "True") then
  return answer("Degraded", told(conditions["Stalled"]))
end
if not is("Ready", "True") then
  -- What it refers to is not there or not ready. It heals by itself, so that a sync must not fail because of it.
  if ready == nil then
    return answer("Progressing", "The operator has said nothing yet.")
  end
  return answer("Progressing", told(ready))
end

-- From here on the object is accepted and in force: Healthy tells how its work goes.
if is("Healthy", "False") then
  if conditions["Healthy"].reason == "Stopped" then
    return answer("Suspended", told(conditions["Healthy"]))
  end
  return answer("Degraded", told(conditions["Healthy"]))
end

if obj.kind == "CRMTenant" then
  if is("Quarantined", "True") then
    return answer("Degraded", "Quarantined: " .. told(conditions["Quarantined"]))
  end
  if is("WorkloadsReady", "False") then
    -- What passes by itself, most often, when processes begin or are replaced; a sync must not fail because of it.
    local passing = {RollingOut = true, PodsNotReady = true, NoNodeFits = true, CredentialsNotYetInUse = true, WorkloadsNotApplied = true}
    if passing[conditions["WorkloadsReady"].reason] then
      return answer("Progressing", told(conditions["WorkloadsReady"]))
    end
    return answer("Degraded", told(conditions["WorkloadsReady"]))
  end
  -- What works and could be safer is told, and alarms nobody.
  local message = ready.message
  for _, advice in ipairs({"RuntimeRole", "FailoverSafe", "SentimentEngine"}) do
    if is(advice, "False") then
      message = message .. " " .. conditions[advice].message
    end
  end
  if ready.reason == "Suspended" then
    return answer("Suspended", message)
  end
  return answer("Healthy", message)
end

if obj.kind == "Campaign" and status.phase ~= nil then
  local message = status.phase
  if status.phase == "Scheduled" and status.scheduledFor ~= nil then
    message = message .. " for " .. status.scheduledFor
  elseif status.planned ~= nil then
    message = message .. ": " .. (status.sent or 0) .. " of " .. status.planned .. " sent"
    for _, part in ipairs({"failed", "ambiguous", "skipped", "pending"}) do
      if status[part] ~= nil and status[part] > 0 then
        message = message .. ", " .. status[part] .. " " .. part
      end
    end
  end
  if conditions["Healthy"] ~= nil and conditions["Healthy"].message ~= nil then
    message = message .. ". " .. conditions["Healthy"].message
  end
  if status.phase == "Paused" then
    return answer("Suspended", message)
  end
  -- A campaign that is over stays Healthy, whatever spec.suspend says: nothing is left to suspend.
  return answer("Healthy", message)
end

if ready.reason == "Suspended" then
  return answer("Suspended", ready.message)
end
return answer("Healthy", ready.message)
